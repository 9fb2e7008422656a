"""keepalived's configuration language: directives with words, some with a block; comments, includes, definitions, conditions.

A line that begins with ``@NAME`` holds only on the node that is called so (``@^NAME``: on every other). ``$NAME=VALUE``
defines what ``$NAME`` or ``${NAME}`` stands for where it is used, which may be several lines. ``~SEQ(NAME, FROM, STEP, TO)`` and
``~LST(NAME, VALUE, …)`` repeat what stands behind them. Nothing of what directives mean is known here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Include = Callable[[str, str], list[tuple[str, str]]]
"""(pattern, name of the file it stands in) -> (name, text) of each file."""
MAX_INCLUDES = 100
MAX_DEPTH = 32
MAX_LINES = 100_000
"""With all that definitions and repetitions make of them."""
MAX_LINE = 100_000
MAX_PASSES = 16
"""Definitions within definitions."""
_TOKEN = re.compile(
    r"""\s+ | (?P<comment>[#!].*) | (?P<mark>[{}]) | "(?P<quoted>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)'
      | (?P<bare>(?:\\.|[^\s{}"'#!])+)""",
    re.VERBOSE,
)
_DEFINITION = re.compile(r"\s*\$(\w+)\s*=(.*)", re.DOTALL)
_REPEATED = re.compile(r"\s*~(SEQ|LST)(x?)\(((?:[^(){}]|\{[^{}]*\})*)\)\s*(.*)", re.DOTALL)
_ITEM = re.compile(r"\{[^{}]*\}|[^,\s][^,]*")
_USE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_CONDITION = re.compile(r"\s*@(\^?)([\w.-]+)(\s|$)")


@dataclass
class Directive:
    """``words``: the directive and its arguments; ``block``: what stands in braces behind it, None without braces."""

    file: str
    line: int
    words: list[str]
    block: "list[Directive] | None" = None

    @property
    def name(self) -> str:
        """The first word."""
        return self.words[0] if self.words else ""

    @property
    def inside(self) -> "list[Directive]":
        """What stands in its block."""
        return self.block or []


class KeepalivedProblem(ValueError):
    """Text that cannot be read."""


@dataclass
class Reader:
    """Reads the files of one node. ``node``: its name in conditions; empty: every condition is seen and none holds."""

    include: Include
    node: str = ""
    names: list[str] = field(default_factory=list)
    """Names that conditions use, in order."""
    definitions: dict[str, str] = field(default_factory=dict)
    missing: list[tuple[str, int, str]] = field(default_factory=list)
    """(file, line, what was to be included): there is no such file."""
    undefined: list[str] = field(default_factory=list)
    """Names that are used and stand for nothing."""
    _files: int = 0
    _taken: int = 0

    def read(self, text: str, name: str) -> list[Directive]:
        """The directives of a file and of those it includes. KeepalivedProblem."""
        top: list[Directive] = []
        stack = [top]
        self._lines(text, name, stack)
        if len(stack) > 1:
            raise KeepalivedProblem(f"{name}: a block is not closed")
        return top

    def _lines(self, text: str, name: str, stack: list[list[Directive]]) -> None:
        self._files += 1
        if self._files > MAX_INCLUDES:
            raise KeepalivedProblem(f"{name}: more than {MAX_INCLUDES} files, or files that include one another")
        if "\0" in text:
            raise KeepalivedProblem(f"{name} is not text")
        for number, written in _joined(text.removeprefix("\ufeff")):
            self._take(written, name, number, stack, 0)

    def _take(self, written: str, name: str, number: int, stack: list[list[Directive]], depth: int) -> None:
        """A line as it is written, or as a definition or a repetition has made it."""
        self._taken += 1
        if self._taken > MAX_LINES or depth > MAX_PASSES:
            raise KeepalivedProblem(f"{name}:{number}: definitions make more than {MAX_LINES} lines of it, or use one another")
        line = self._condition(written)
        if line is None:
            return
        if definition := _DEFINITION.fullmatch(line):
            self.definitions[definition[1]] = definition[2].strip()
        elif repeated := _REPEATED.fullmatch(line):
            for values in self._repetitions(repeated, f"{name}:{number}"):
                self.definitions |= values
                self._take(repeated[4], name, number, stack, depth + 1)
        elif "\n" in (text := self._replaced(line, f"{name}:{number}")):
            for part in text.splitlines():
                self._take(part, name, number, stack, depth + 1)
        else:
            self._line(text, name, number, stack)

    def _repetitions(self, found: "re.Match[str]", where: str) -> Iterator[dict[str, str]]:
        """What the names stand for, each time."""
        names, *items = [_unbraced(item) for item in _ITEM.findall(self._replaced(found[3], where))] or [[]]
        if found[1] == "LST":
            yield from (dict(zip(names, values, strict=False)) for values in items)
            return
        try:
            first, step, last = _sequence([int(value, 0) for (value,) in items])
        except ValueError as error:
            raise KeepalivedProblem(f"{where}: it is: ~SEQ(NAME, FROM, STEP, TO)") from error
        for value in range(first, last + (1 if step > 0 else -1), step):
            yield dict.fromkeys(names, f"{value:x}" if found[2] else str(value))

    def _condition(self, line: str) -> str | None:
        found = _CONDITION.match(line)
        if not found:
            return line
        if found[2] not in self.names:
            self.names.append(found[2])
        holds = bool(self.node) and (found[2] == self.node) != bool(found[1])
        return line[found.end() :] if holds else None

    def _replaced(self, text: str, where: str) -> str:
        """With what the names stand for at this place, and the names in that; of what is several lines each line has its own."""
        for _ in range(MAX_PASSES):
            made = _USE.sub(lambda use: self.definitions.get(use[1] or use[2], use[0]), text)
            if len(made) > MAX_LINE:
                raise KeepalivedProblem(f"{where}: definitions make too much of it")
            if "\n" in made:
                return made
            if made == text:
                break
            text = made
        unknown = (use[1] or use[2] for use in _USE.finditer(text))
        self.undefined += [name for name in unknown if name not in self.undefined and name not in self.definitions]
        return text

    def _line(self, line: str, name: str, number: int, stack: list[list[Directive]]) -> None:
        words = list[str]()
        for kind, text in _tokens(line):
            if kind == "mark" and text == "{":
                if words:
                    stack[-1].append(Directive(name, number, words))
                    words = []
                elif not stack[-1]:
                    raise KeepalivedProblem(f"{name}:{number}: unexpected {{")
                opened = stack[-1][-1]
                opened.block = opened.block or []
                stack.append(opened.block)
                if len(stack) > MAX_DEPTH:
                    raise KeepalivedProblem(f"{name}:{number}: more than {MAX_DEPTH} levels deep")
            elif kind == "mark":
                if words:
                    stack[-1].append(Directive(name, number, words))
                    words = []
                if len(stack) == 1:
                    raise KeepalivedProblem(f"{name}:{number}: unexpected }}")
                stack.pop()
            else:
                words.append(text)
        if words and words[0] in ("include", "includer", "includem", "includew", "includeb", "includea"):
            found = self.include(words[-1], name)
            if not found:
                self.missing.append((name, number, words[-1]))
            for included, text in found:
                self._lines(text, included, stack)
        elif words:
            stack[-1].append(Directive(name, number, words))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; a backslash at the end goes on with the next. A definition keeps its lines."""
    begun, at = list[str](), 0
    for number, line in enumerate(text.splitlines(), 1):
        at = at if begun else number
        begun.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            yield at, _one(begun)
            begun = []
    if begun:
        yield at, _one(begun)


def _one(lines: list[str]) -> str:
    return "\n".join(lines) if _DEFINITION.match(lines[0]) else " ".join(lines)


def _unbraced(item: str) -> list[str]:
    """The names or values of ``{a, b}``, or the only one."""
    return [part.strip() for part in item.strip().removeprefix("{").removesuffix("}").split(",")]


def _sequence(numbers: list[int]) -> tuple[int, int, int]:
    """(from, step, to). ValueError."""
    if len(numbers) == 1:
        return 1, 1, numbers[0]
    first, *between, last = numbers
    step = between[0] if between else 1 if last >= first else -1
    if len(between) > 1 or step == 0:
        raise ValueError("a sequence without end")
    return first, step, last


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    for token in _TOKEN.finditer(line):
        if token["comment"] is not None:
            return
        if token["mark"]:
            yield "mark", token["mark"]
        elif token.lastgroup:
            text = token[token.lastgroup]
            yield "word", re.sub(r"\\(.)", r"\1", text) if token.lastgroup == "quoted" else text
