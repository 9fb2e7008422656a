"""A line being typed: keys in, what the terminal has to be sent out. Pure; the same keys always give the same bytes.

What is typed at the end of the line is echoed and nothing else is sent, so that programs which drive a session over SSH
find their own words again. Everything else is drawn with backspaces as long as the line fits into one row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

ESCAPE = "\x1b"
BELL = "\a"
MAX_HISTORY = 1000
MAX_LINE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Submitted:
    """Enter: the line is complete."""

    line: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ctrl-C: the line is given up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Ctrl-D on an empty line."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``?``, Tab or a blank at a place where completion is wanted. ``key`` is what was typed."""

    key: str


Outcome = Submitted | Interrupted | Ended | Asked


def quoted(text: str) -> bool:
    """Whether the end of the text stands within quotes."""
    inside = ""
    for character in text:
        if character in "\"'" and inside in ("", character):
            inside = "" if inside else character
    return bool(inside)


@dataclass(slots=True)
class Editor:
    """``width`` of the terminal; ``sent`` collects what it shall be sent; the caller empties it."""

    prompt: str
    width: int = 80
    history: list[str] = field(default_factory=list)
    complete_on_space: bool = True
    text: str = ""
    cursor: int = 0
    sent: list[str] = field(default_factory=list)
    _escape: str = ""
    _killed: str = ""
    _at: int | None = None
    _typed: str = ""

    def draw(self) -> None:
        """Prompt and line on a fresh row, the cursor at its place."""
        self.sent.append(self.prompt)
        self._write_from(0, self.cursor, shown=0)

    def feed(self, key: str) -> Outcome | None:
        """One character typed."""
        if self._escape or key == ESCAPE:
            self._sequence(key)
            return None
        if key in "\r\n":
            self._move(len(self.text))
            self.sent.append("\n")
            if self.text.strip() and self.history[-1:] != [self.text]:
                self.history.append(self.text)
                del self.history[:-MAX_HISTORY]
            return Submitted(self.text)
        if key == "\x03":
            self._move(len(self.text))
            self.sent.append("^C\n")
            return Interrupted()
        if key == "\x04" and not self.text:
            self.sent.append("\n")
            return Ended()
        if key == "\t" or (key in "? " and not quoted(self.text[: self.cursor]) and (key == "?" or self._completes())):
            return Asked(key)
        action = _KEYS.get(key)
        if action is not None:
            action(self)
        elif key.isprintable():
            self.insert(key)
        return None

    def insert(self, text: str) -> None:
        """Text at the cursor."""
        if len(self.text) + len(text) > MAX_LINE:
            self.sent.append(BELL)
            return
        self._replace(self.text[: self.cursor] + text + self.text[self.cursor :], self.cursor + len(text))

    def set_line(self, text: str) -> None:
        """Another line in place of this one."""
        self._replace(text, len(text))

    def _completes(self) -> bool:
        """A blank completes what is typed at the end of a line that has something to complete."""
        before = self.text[: self.cursor]
        return self.complete_on_space and bool(before) and not before[-1].isspace()

    # -- drawing -------------------------------------------------------------------------------------------------------

    def _replace(self, text: str, cursor: int) -> None:
        """Make the line ``text``: what is equal in front stays, the rest is written anew."""
        same = 0
        while same < min(len(text), len(self.text)) and text[same] == self.text[same]:
            same += 1
        shown = len(self.text)
        self._move(min(same, self.cursor))
        start = self.cursor
        self.text = text
        self._write_from(start, cursor, shown)

    def _write_from(self, start: int, cursor: int, shown: int) -> None:
        """Write from ``start`` on, over ``shown`` characters of before, and put the cursor at its place."""
        rest = self.text[start:] + " " * max(0, shown - len(self.text))
        self.sent.append(rest)
        end = start + len(rest)
        if rest and (len(self.prompt) + end) % self.width == 0:
            self.sent.append(" \r")  # A terminal moves to the next row only with the next character.
        self.cursor = end
        self._move(cursor)

    def _move(self, to: int) -> None:
        here, there = len(self.prompt) + self.cursor, len(self.prompt) + to
        up, row = here // self.width - there // self.width, there // self.width
        if up == 0 and there < here:
            self.sent.append("\b" * (here - there))
        elif up == 0:
            self.sent.append(self.text[self.cursor : to])
        else:
            self.sent.append(f"\x1b[{abs(up)}{'A' if up > 0 else 'B'}\r")
            column = there - row * self.width
            self.sent.append(f"\x1b[{column}C" if column else "")
        self.cursor = to

    # -- keys ----------------------------------------------------------------------------------------------------------

    def _sequence(self, key: str) -> None:
        """One more character of an escape sequence; a complete one is carried out, an unknown one is nothing."""
        self._escape += key
        body = self._escape[1:]
        if not body or body in ("[", "O") or (body[0] == "[" and not ("@" <= body[-1] <= "~") and len(body) < 16):
            return
        self._escape = ""
        action = _SEQUENCES.get(body)
        if action is not None:
            action(self)

    def _back(self) -> None:
        self._move(max(0, self.cursor - 1))

    def _forward(self) -> None:
        self._move(min(len(self.text), self.cursor + 1))

    def _home(self) -> None:
        self._move(0)

    def _end(self) -> None:
        self._move(len(self.text))

    def _word_start(self) -> int:
        return len(self.text[: self.cursor].rstrip().rpartition(" ")[0]) + (" " in self.text[: self.cursor].rstrip())

    def _word_end(self) -> int:
        rest = self.text[self.cursor :]
        blanks = len(rest) - len(rest.lstrip())
        return self.cursor + blanks + len(rest.lstrip().partition(" ")[0])

    def _word_back(self) -> None:
        self._move(self._word_start())

    def _word_forward(self) -> None:
        self._move(self._word_end())

    def _cut(self, start: int, end: int, keep: bool = True) -> None:
        if keep:
            self._killed = self.text[start:end]
        self._replace(self.text[:start] + self.text[end:], start)

    def _rub_out(self) -> None:
        if self.cursor:
            self._cut(self.cursor - 1, self.cursor, keep=False)

    def _delete(self) -> None:
        if self.cursor < len(self.text):
            self._cut(self.cursor, self.cursor + 1, keep=False)

    def _kill_to_end(self) -> None:
        self._cut(self.cursor, len(self.text))

    def _kill_line(self) -> None:
        self._cut(0, len(self.text))

    def _kill_word_back(self) -> None:
        self._cut(self._word_start(), self.cursor)

    def _kill_word(self) -> None:
        self._cut(self.cursor, self._word_end())

    def _yank(self) -> None:
        self.insert(self._killed)

    def _clear_screen(self) -> None:
        self.sent.append("\x1b[H\x1b[2J")
        self.draw()

    def _older(self) -> None:
        self._recall(-1)

    def _newer(self) -> None:
        self._recall(1)

    def _recall(self, step: int) -> None:
        """Up and down in the history; below its newest line stands what was being typed."""
        if self._at is None:
            self._at, self._typed = len(self.history), self.text
        at = self._at + step
        if not 0 <= at <= len(self.history):
            self.sent.append(BELL)
            return
        self._at = at
        self.set_line(self._typed if at == len(self.history) else self.history[at])


_KEYS: dict[str, Callable[[Editor], None]] = {
    "\x01": Editor._home,
    "\x02": Editor._back,
    "\x04": Editor._delete,
    "\x05": Editor._end,
    "\x06": Editor._forward,
    "\x08": Editor._rub_out,
    "\x7f": Editor._rub_out,
    "\x0b": Editor._kill_to_end,
    "\x0c": Editor._clear_screen,
    "\x0e": Editor._newer,
    "\x10": Editor._older,
    "\x15": Editor._kill_line,
    "\x17": Editor._kill_word_back,
    "\x19": Editor._yank,
}
_SEQUENCES: dict[str, Callable[[Editor], None]] = {
    **dict.fromkeys(("[A", "OA"), Editor._older),
    **dict.fromkeys(("[B", "OB"), Editor._newer),
    **dict.fromkeys(("[C", "OC"), Editor._forward),
    **dict.fromkeys(("[D", "OD"), Editor._back),
    **dict.fromkeys(("[H", "OH", "[1~", "[7~"), Editor._home),
    **dict.fromkeys(("[F", "OF", "[4~", "[8~"), Editor._end),
    "[3~": Editor._delete,
    **dict.fromkeys(("b", "[1;5D", "[1;3D"), Editor._word_back),
    **dict.fromkeys(("f", "[1;5C", "[1;3C"), Editor._word_forward),
    "d": Editor._kill_word,
    "\x7f": Editor._kill_word_back,
}


def rows(lines: Sequence[str], width: int) -> int:
    """How many rows of a terminal the lines take."""
    return sum(max(1, -(-len(line) // width)) for line in lines)
