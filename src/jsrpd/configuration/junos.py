"""Junos configuration syntax, in braces or as ``set`` lines, into a tree that remembers where each word stood.

A statement is a path of words; braces and ``set`` lines are two ways to write the same paths. The tree knows no
schema: what a word may be followed by is checked elsewhere, so that every problem is reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

PUNCTUATION = "{};[]"


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stood (1-based)."""

    text: str
    line: int
    column: int


@dataclass(slots=True)
class Node:
    """A word and what stands below it, in order of appearance."""

    word: Word
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, word: Word) -> Node:
        """The child of that name, made if absent."""
        if word.text not in self.children:
            self.children[word.text] = Node(word)
        return self.children[word.text]

    def find(self, *path: str) -> Node | None:
        """The node at a path below this one."""
        node: Node | None = self
        for text in path:
            node = node.children.get(text) if node is not None else None
        return node

    def statements(self) -> Iterator[tuple[Word, ...]]:
        """Every path to a leaf."""
        for child in self.children.values():
            if not child.children:
                yield (child.word,)
            for below in child.statements():
                yield (child.word, *below)


class SyntaxProblem(Exception):
    """Text that is not Junos syntax. ``line`` and ``column`` are 1-based."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def root() -> Node:
    """An empty tree."""
    return Node(Word("", 1, 1))


def parse(text: str) -> Node:
    """Tree of a configuration in either form. SyntaxProblem at the first place that cannot be read."""
    words = list(_words(text))
    tree = root()
    if words and words[0].text in ("set", "delete"):
        _parse_set(words, tree)
    else:
        end = _parse_block(words, 0, tree)
        if end < len(words):
            raise SyntaxProblem("unexpected }", words[end].line, words[end].column)
    return tree


def _words(text: str) -> Iterator[Word]:
    """Words and punctuation; comments are passed over."""
    at, line, start = 0, 1, 0
    while at < len(text):
        character = text[at]
        column = at - start + 1
        if character == "\n":
            at, line, start = at + 1, line + 1, at + 1
        elif character.isspace():
            at += 1
        elif character == "#":
            at = _find(text, "\n", at)
        elif text.startswith("/*", at):
            end = text.find("*/", at)
            if end < 0:
                raise SyntaxProblem("comment is not closed", line, column)
            line += text.count("\n", at, end)
            if "\n" in text[at:end]:
                start = text.rindex("\n", at, end) + 1
            at = end + 2
        elif character in PUNCTUATION:
            yield Word(character, line, column)
            at += 1
        elif character == '"':
            end = text.find('"', at + 1)
            if end < 0 or "\n" in text[at:end]:
                raise SyntaxProblem("quoted text is not closed", line, column)
            yield Word(text[at + 1 : end], line, column)
            at = end + 1
        else:
            end = at
            while end < len(text) and not text[end].isspace() and text[end] not in PUNCTUATION + '"':
                end += 1
            yield Word(text[at:end], line, column)
            at = end


def _find(text: str, what: str, at: int) -> int:
    found = text.find(what, at)
    return len(text) if found < 0 else found


def _parse_block(words: list[Word], at: int, parent: Node) -> int:
    """Statements up to a closing brace or the end; where the block ended."""
    while at < len(words) and words[at].text != "}":
        at = _parse_statement(words, at, parent)
    return at


def _parse_statement(words: list[Word], at: int, parent: Node) -> int:
    node = parent
    first = words[at]
    inactive = first.text == "inactive:"
    if inactive:
        at, node = at + 1, root()
    while at < len(words):
        word = words[at]
        match word.text:
            case ";":
                if node is parent:
                    raise SyntaxProblem("statement is empty", word.line, word.column)
                return at + 1
            case "{":
                end = _parse_block(words, at + 1, node)
                if end >= len(words):
                    raise SyntaxProblem("{ is not closed", word.line, word.column)
                return end + 1
            case "[":
                at = _parse_list(words, at, node)
            case "}" | "]":
                raise SyntaxProblem(f"; is missing before {word.text}", word.line, word.column)
            case _:
                node = node.child(word)
                at += 1
    raise SyntaxProblem("; is missing at the end", first.line, first.column)


def _parse_list(words: list[Word], at: int, node: Node) -> int:
    opening = words[at]
    at += 1
    while at < len(words) and words[at].text != "]":
        node.child(words[at])
        at += 1
    if at >= len(words):
        raise SyntaxProblem("[ is not closed", opening.line, opening.column)
    return at + 1


def _parse_set(words: list[Word], tree: Node) -> None:
    lines: dict[int, list[Word]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    for line in lines.values():
        verb, *path = line
        if verb.text not in ("set", "delete") or not path:
            raise SyntaxProblem("expected: set STATEMENT", verb.line, verb.column)
        if verb.text == "delete":
            _delete(tree, [word.text for word in path])
            continue
        node, at = tree, 0
        while at < len(path):
            if path[at].text == "[":
                at = _parse_list(path, at, node)
            else:
                node = node.child(path[at])
                at += 1


def _delete(tree: Node, path: list[str]) -> None:
    parent = tree.find(*path[:-1])
    if parent is not None:
        parent.children.pop(path[-1], None)


def copy(node: Node) -> Node:
    """A tree of its own."""
    return Node(node.word, {text: copy(child) for text, child in node.children.items()})


def quoted(text: str) -> str:
    """A word as it must be written."""
    plain = text and not any(c.isspace() or c in PUNCTUATION + '"#' for c in text) and not text.startswith("$")
    return text if plain else f'"{text}"'


def render_set(tree: Node) -> str:
    """``set`` lines (``display set``)."""
    return "".join("set " + " ".join(quoted(w.text) for w in path) + "\n" for path in tree.statements())


def render_braces(tree: Node, depth: int = 0) -> str:
    """The form in braces. A chain of single words is one line."""
    indent = "    " * depth
    lines = []
    for child in tree.children.values():
        words, node = [child.word.text], child
        while len(node.children) == 1:
            (node,) = node.children.values()
            words.append(node.word.text)
        line = indent + " ".join(map(quoted, words))
        lines.append(f"{line} {{\n{render_braces(node, depth + 1)}{indent}}}\n" if node.children else f"{line};\n")
    return "".join(lines)
