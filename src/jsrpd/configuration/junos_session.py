"""The text of a Junos configuration out of what people keep: files, ``set`` lines, and pasted sessions at a terminal.

Lines stay where they were, so that a remark names the line of the file. In a session ``edit``, ``top``, ``up`` and ``exit`` say
where a statement stands; what else is typed there is left out, and said where it would have changed something.
"""

import re
from dataclasses import dataclass, field

from jsrpd.configuration.places import TOP_PLACE, Place, Role, step

_PROMPT = re.compile(r"\s*\S+@\S+[>#%]\s?")
_LEVEL = re.compile(r"\s*(?:\{(?:primary|secondary)[^}]*\})?\s*\[edit(.*)\]\s*")
_AROUND = re.compile(r"\s*(\{(primary|secondary)[^}]*\}|---\(more.*|\.{3,})?\s*")
_LOCK = re.compile(r"(^|[{;])(\s*)(?:un)?protect:\s+")
STATING = ("set", "delete", "deactivate")
MOVING = ("edit", "top", "up", "exit", "quit")
LOOKING = ("show", "run", "commit", "configure", "status", "save", "rollback", "help")
CHANGING = ("activate", "protect", "unprotect", "annotate", "rename", "copy", "insert", "load", "replace", "wildcard")
"""What changes a configuration by what stands there, which is not known here."""
VERBS = (*STATING, *MOVING, *LOOKING, *CHANGING)


def statements_of(text: str, name: str) -> tuple[str, list[str]]:
    """The text to be parsed, and remarks on what was left out of it."""
    lines = [_PROMPT.sub("", line) for line in text.removeprefix("\ufeff").splitlines()]
    said = (line.split("#")[0].split() for line in lines if not _LEVEL.fullmatch(line) and not _AROUND.fullmatch(line))
    if next((words[0] for words in said if words), "") in VERBS:
        session = _Session(name)
        return "".join(f"{session.line(number, line)}\n" for number, line in enumerate(lines, 1)), session.remarks
    plain = ("" if _LEVEL.fullmatch(line) or _AROUND.fullmatch(line) else _LOCK.sub(r"\1\2", line) for line in lines)
    return "".join(f"{line}\n" for line in plain), []


@dataclass
class _Session:
    """``level``: words of where one is. ``before``: the levels to which ``exit`` leads back. ``stated``: paths that are set."""

    name: str
    remarks: list[str] = field(default_factory=list)
    level: list[str] = field(default_factory=list)
    before: list[list[str]] = field(default_factory=list)
    stated: set[tuple[str, ...]] = field(default_factory=set)

    def line(self, number: int, line: str) -> str:
        """What it states, from the top; empty for one that states nothing."""
        if level := _LEVEL.fullmatch(line):
            self.level = level[1].split()
            return ""
        words = line.split()
        if not words or _AROUND.fullmatch(line) or words[0].startswith(("#", "/*")):
            return ""
        return self._typed(number, words, self.level)

    def _typed(self, number: int, words: list[str], level: list[str]) -> str:
        verb, *rest = words
        match verb:
            case "top" if rest:
                return self._typed(number, rest, [])
            case "up":
                count = int(rest.pop(0)) if rest and rest[0].isdigit() else 1
                for _ in range(min(count, len(level))):
                    level = _above(level)
                if rest:
                    return self._typed(number, rest, level)
                self.level = level
            case "set" | "delete" | "deactivate":
                return self._states(number, verb, [*level, *rest])
            case "edit":
                self.before.append(self.level)
                self.level = [*level, *rest]
            case "top":
                self.level, self.before = [], []
            case "exit" | "quit":
                self.level = self.before.pop() if self.before else []
            case _ if verb in LOOKING:
                pass
            case _:
                reason = "not carried out; do it by hand" if verb in CHANGING else "no statement"
                self.remarks.append(f"{self.name}:{number}: {' '.join(words)[:80]}: {reason}; not taken")
        return ""

    def _states(self, number: int, verb: str, path: list[str]) -> str:
        if verb == "set":
            self.stated |= {tuple(path[:length]) for length in range(1, len(path) + 1)}
        elif tuple(path) not in self.stated:
            self.remarks.append(f"{self.name}:{number}: {verb} {' '.join(path)}: nothing above has set it; not taken")
            return ""
        return f"{verb} {' '.join(path)}"


def _above(level: list[str]) -> list[str]:
    """One level further up: an entry of a list goes with the list's word, as far as the words are known here."""
    above = level[:-1]
    place: Place | None = TOP_PLACE
    for word in above:
        place = step(place, word) if place is not None else None
    return above[:-1] if place is not None and place.role is Role.LIST else above
