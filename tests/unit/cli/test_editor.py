"""The line editor against a small terminal: what is on the screen is what the editor means, after any keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsrpd.cli.editor import Asked, Editor, Ended, Interrupted, Outcome, Submitted, quoted, rows

PROMPT = "op@fw> "


class Screen:
    """Backspace, carriage return, line feed, cursor up, down, right and wrapping at the margin, as VT100s have it."""

    def __init__(self, width: int) -> None:
        self.width, self.row, self.column, self.pending = width, 0, 0, False
        self.cells: dict[tuple[int, int], str] = {}

    def take(self, text: str) -> None:
        at = 0
        while at < len(text):
            if text[at : at + 2] == "\x1b[":
                end = at + 2
                while not text[end].isalpha():
                    end += 1
                count = int(text[at + 2 : end] or 1)
                self.row += {"A": -count, "B": count, "C": 0}[text[end]]
                self.column += count if text[end] == "C" else 0
                self.pending, at = False, end + 1
                continue
            self._one(text[at])
            at += 1

    def _one(self, character: str) -> None:
        if character == "\b":
            self.column, self.pending = max(0, self.column - (not self.pending)), False
        elif character == "\r":
            self.column, self.pending = 0, False
        elif character == "\n":
            self.row, self.column, self.pending = self.row + 1, 0, False
        elif character != "\a":
            if self.pending:
                self.row, self.column, self.pending = self.row + 1, 0, False
            self.cells[self.row, self.column] = character
            self.pending = self.column == self.width - 1
            self.column += not self.pending

    def text(self) -> str:
        last = max((row for row, _ in self.cells), default=0)
        return "".join(self.cells.get((row, column), " ") for row in range(last + 1) for column in range(self.width)).rstrip()


def typed(*keys: str, width: int = 80, **fields: object) -> tuple[Editor, Screen, list[Outcome]]:
    """An editor after some keys, what its screen shows, and what came out."""
    editor = Editor(PROMPT, width, complete_on_space=False, **fields)  # type: ignore[arg-type]
    screen = Screen(width)
    editor.draw()
    outcomes = [outcome for key in "".join(keys) if (outcome := editor.feed(key)) is not None]
    screen.take("".join(editor.sent))
    return editor, screen, outcomes


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("show", "show"),
        ("shw\x02o", "show"),
        ("how\x01s", "show"),
        ("show x\x7f\x7f", "show"),
        ("one two\x17three", "one three"),
        ("one two\x15", ""),
        ("one two\x01\x0b\x19\x19", "one twoone two"),
        ("one two\x1bb\x1bd", "one "),
        ("one two\x1bb\x1bbx\x1bfy", "xoney two"),
        ("abc\x1b[D\x1b[D\x1b[3~", "ac"),
        ("abc\x1b[H>\x1b[F<", ">abc<"),
        ("abc\x01\x04", "bc"),
        ("abc\x1b[99;99Zd", "abcd"),
        ("tab\x00\x07", "tab"),
        ("größe\x02\x02\x7f", "grße"),
    ],
)
def test_keys(keys: str, line: str) -> None:
    editor, screen, outcomes = typed(keys)
    assert editor.text == line
    assert screen.text() == (PROMPT + line).rstrip()
    assert outcomes == []


def test_what_is_typed_at_the_end_is_echoed_and_nothing_else() -> None:
    """Programs that drive a session look for their own words."""
    editor, _, outcomes = typed("show chassis cluster status\r")
    assert "".join(editor.sent) == f"{PROMPT}show chassis cluster status\n"
    assert outcomes == [Submitted("show chassis cluster status")]


def test_history() -> None:
    history = ["first", "second"]
    assert typed("\x10", history=list(history))[0].text == "second"
    assert typed("\x1b[A\x1b[A\x1b[A", history=list(history))[0].text == "first"
    assert typed("typ\x10\x10\x0e\x0e", history=list(history))[0].text == "typ"
    editor, _, _ = typed("second\r", history=list(history))
    assert editor.history == history
    editor, _, _ = typed("   \r", history=list(history))
    assert editor.history == history
    editor, _, _ = typed("third\r", history=list(history))
    assert editor.history == [*history, "third"]


def test_ends() -> None:
    assert typed("abc\x03")[2] == [Interrupted()]
    assert typed("\x04")[2] == [Ended()]
    assert typed("a\x04")[2] == []


def test_questions() -> None:
    assert typed("sh?")[2] == [Asked("?")]
    assert typed("sh\t")[2] == [Asked("\t")]
    assert typed("match 'a?b")[2] == []
    editor = Editor(PROMPT)
    assert [editor.feed(key) for key in "s "] == [None, Asked(" ")]
    editor = Editor(PROMPT)
    assert [editor.feed(key) for key in " '"] == [None, None]
    assert editor.feed(" ") is None


@pytest.mark.parametrize(("text", "inside"), [("", False), ("a 'b", True), ("a 'b'", False), ("\"it's", True), ('"it\'s"', False)])
def test_quotes(text: str, inside: bool) -> None:
    assert quoted(text) == inside


def test_rows_of_a_terminal() -> None:
    assert rows(["", "x" * 80, "x" * 81], 80) == 4


KEY = st.sampled_from([*"abc de", "\x01", "\x02", "\x05", "\x06", "\x7f", "\x04", "\x0b", "\x15", "\x17", "\x19", "\x10", "\x0e"])


@given(st.lists(KEY, max_size=60), st.integers(min_value=9, max_value=24))
def test_the_screen_shows_the_line_after_any_keys(keys: list[str], width: int) -> None:
    """Also where the line takes several rows: text and cursor are where the editor means them to be."""
    keys = ["x", *keys]
    editor = Editor(PROMPT, width, ["an older line that is long", "b"], complete_on_space=False)
    screen = Screen(width)
    editor.draw()
    for key in keys:
        if editor.feed(key) is not None:
            return
        screen.take("".join(editor.sent))
        editor.sent.clear()
        assert screen.text() == (PROMPT + editor.text).rstrip()
        assert screen.row * width + screen.column + screen.pending == len(PROMPT) + editor.cursor
