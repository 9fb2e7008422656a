"""keepalived's configuration language: directives with words, some with a block; comments, includes, definitions, conditions.

A line that begins with ``@NAME`` holds only on the node that is called so (``@^NAME``: on every other). ``$NAME=VALUE``
defines what ``$NAME`` or ``${NAME}`` stands for. Nothing of what directives mean is known here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Include = Callable[[str, str], list[tuple[str, str]]]
"""(pattern, name of the file it stands in) -> (name, text) of each file."""
MAX_INCLUDES = 100
MAX_DEPTH = 32
_TOKEN = re.compile(
    r"""\s+ | (?P<comment>[#!].*) | (?P<mark>[{}]) | "(?P<quoted>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)'
      | (?P<bare>[^\s{}"'#!]+[^\s{}"']*)""",
    re.VERBOSE,
)
_DEFINITION = re.compile(r"\s*\$(\w+)\s*=(.*)")
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
    _files: int = 0

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
        for number, written in _joined(text):
            line = self._condition(written)
            if line is None:
                continue
            definition = _DEFINITION.fullmatch(line)
            if definition:
                self.definitions[definition[1]] = self._replaced(definition[2].strip())
                continue
            self._line(self._replaced(line), name, number, stack)

    def _condition(self, line: str) -> str | None:
        found = _CONDITION.match(line)
        if not found:
            return line
        if found[2] not in self.names:
            self.names.append(found[2])
        holds = bool(self.node) and (found[2] == self.node) != bool(found[1])
        return line[found.end() :] if holds else None

    def _replaced(self, text: str) -> str:
        return _USE.sub(lambda use: self.definitions.get(use[1] or use[2], use[0]), text)

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
            for included, text in self.include(words[-1], name):
                self._lines(text, included, stack)
        elif words:
            stack[-1].append(Directive(name, number, words))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; a backslash at the end goes on with the next."""
    begun, at = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        at = at if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        yield at, begun + line
        begun = ""
    if begun:
        yield at, begun


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    for token in _TOKEN.finditer(line):
        if token["comment"] is not None:
            return
        if token["mark"]:
            yield "mark", token["mark"]
        elif token.lastgroup:
            text = token[token.lastgroup]
            yield "word", re.sub(r"\\(.)", r"\1", text) if token.lastgroup == "quoted" else text
