"""Junos configuration syntax, in braces or as ``set`` lines, into a tree that remembers where each word stood.

A statement is a path of words; braces and ``set`` lines are two ways to write the same paths. The tree knows no
schema: what a word may be followed by is checked elsewhere, so that every problem is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

PUNCTUATION = "{};[]"
SET_FORM = ("set", "delete", "deactivate")
"""First words of a line in set form. What is deactivated is left out, as ``inactive:`` is in braces."""
INACTIVE = "inactive:"
REPLACE = "replace:"
MAX_DEPTH = 64
"""Longest path of words. No statement comes near it; it keeps hostile text from exhausting the stack."""

_TOKEN = re.compile(
    r"""(?P<newline>\n) | [^\S\n]+ | (?P<remark>\#[^\n]*) | (?P<comment>/\*.*?\*/)
      | (?P<mark>[{};\[\]])
      | "(?P<quoted>(?:[^"\\\n]|\\[^\n])*)"
      | (?P<open>/\*|")
      | (?P<bare>(?:\$\{\w+\}|[^\s{};\[\]"])+)""",
    re.VERBOSE | re.DOTALL,
)


class Kind(Enum):
    """How a word was written. A mark is one of ``{ } ; [ ]``; a quoted word never is, whatever it says."""

    BARE = 0
    QUOTED = 1
    MARK = 2
    COMMENT = 3


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it stood (1-based)."""

    text: str
    line: int
    column: int
    kind: Kind = Kind.BARE

    @property
    def mark(self) -> str:
        """The punctuation it is, or nothing."""
        return self.text if self.kind is Kind.MARK else ""


@dataclass(slots=True)
class Node:
    """A word and what stands below it, in order of appearance."""

    word: Word
    children: dict[str, Node] = field(default_factory=dict)
    inactive: bool = False
    """Kept in the text, and without effect."""
    comment: str = ""
    """What the operator says of it; several lines are possible."""
    replace: bool = False
    """It stands for what was there before (``load replace``)."""

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


def parse(text: str, keep: bool = False) -> Node:
    """Tree of a configuration in either form. SyntaxProblem at the first place that cannot be read.

    ``keep``: with comments and what is inactive, for editing; else only what has effect.
    """
    words: list[Word] = []
    comments: dict[int, list[Word]] = {}
    for word in _words(text):
        if word.kind is Kind.COMMENT:
            comments.setdefault(len(words), []).append(word)
        else:
            words.append(word)
    tree = root()
    if words and words[0].kind is Kind.BARE and words[0].text in SET_FORM:
        _parse_set(words, tree, keep)
    else:
        blocks = _Blocks(words, comments, keep)
        end = blocks.block(0, tree, 0)
        if end < len(words):
            raise _unexpected(words[end])
    return tree


def _words(text: str) -> Iterator[Word]:
    """Words, punctuation and comments."""
    line, start = 1, 0
    for token in _TOKEN.finditer(text):
        column = token.start() - start + 1
        match token.lastgroup:
            case "newline":
                line, start = line + 1, token.end()
            case "comment":
                yield Word(_plain_comment(token[0]), line, column, Kind.COMMENT)
                newlines = token[0].count("\n")
                if newlines:
                    line, start = line + newlines, token.start() + token[0].rindex("\n") + 1
            case "remark":
                yield Word(token[0][1:].strip(), line, column, Kind.COMMENT)
            case "mark":
                yield Word(token[0], line, column, Kind.MARK)
            case "quoted":
                yield Word(re.sub(r"\\(.)", r"\1", token["quoted"]), line, column, Kind.QUOTED)
            case "bare":
                yield Word(token[0], line, column)
            case "open":
                what = "quoted text" if token[0] == '"' else "comment"
                raise SyntaxProblem(f"{what} is not closed", line, column)


def _unexpected(word: Word) -> SyntaxProblem:
    return SyntaxProblem(f"unexpected {word.text}", word.line, word.column)


def _child(node: Node, word: Word, depth: int) -> Node:
    if depth >= MAX_DEPTH:
        raise SyntaxProblem(f"more than {MAX_DEPTH} levels deep", word.line, word.column)
    return node.child(word)


def _plain_comment(text: str) -> str:
    """What a comment says, without its marks and the stars that some put before each line."""
    first, *others = [line.strip() for line in text[2:-2].splitlines()] or [""]
    return "\n".join([first, *(line[1:].strip() if line.startswith("*") else line for line in others)]).strip()


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Statements in braces. ``comments``: by the number of the word behind them."""

    words: list[Word]
    comments: dict[int, list[Word]]
    keep: bool

    def block(self, at: int, parent: Node, depth: int) -> int:
        """Statements up to a closing brace or the end; where the block ended."""
        last = parent
        while at < len(self.words) and self.words[at].mark != "}":
            self._remark(at, last)
            begin, (at, last) = at, self._statement(at, parent, depth)
            self._annotate(begin, last)
        self._remark(at, last)
        self._annotate(at, last)
        return at

    def _remark(self, at: int, before: Node) -> None:
        """Comments on the line of the word before belong to the statement before."""
        for comment in self.comments.get(at, ()):
            if at > 0 and comment.line == self.words[at - 1].line:
                _comment(before, comment.text)

    def _annotate(self, at: int, node: Node) -> None:
        for comment in self.comments.get(at, ()):
            if at == 0 or comment.line != self.words[at - 1].line:
                _comment(node, comment.text)

    def _statement(self, at: int, parent: Node, depth: int) -> tuple[int, Node]:
        """Where it ended, and the node of its last word before a brace."""
        first = self.words[at]
        replace = self._tag(at, REPLACE) if self.keep else False
        at += replace
        inactive = self._tag(at, INACTIVE)
        if inactive:
            at, parent = at + 1, parent if self.keep else root()
        node = parent
        while at < len(self.words):
            word = self.words[at]
            if word.mark and word.mark != "}" and node is parent:
                raise SyntaxProblem(f"statement is missing before {word.text}", word.line, word.column)
            match word.mark:
                case ";":
                    node.inactive, node.replace = inactive, replace
                    return at + 1, node
                case "{":
                    node.inactive, node.replace = inactive, replace
                    end = self.block(at + 1, node, depth)
                    if end >= len(self.words):
                        raise SyntaxProblem("{ is not closed", word.line, word.column)
                    return end + 1, node
                case "[":
                    at = _parse_list(self.words, at, node, depth)
                case "}" | "]":
                    raise SyntaxProblem(f"; is missing before {word.text}", word.line, word.column)
                case _:
                    node = _child(node, word, depth)
                    at, depth = at + 1, depth + 1
        raise SyntaxProblem("; is missing at the end", first.line, first.column)

    def _tag(self, at: int, tag: str) -> bool:
        return at < len(self.words) and self.words[at].text == tag and self.words[at].kind is Kind.BARE


def _comment(node: Node, text: str) -> None:
    node.comment = f"{node.comment}\n{text.replace('*/', '* /')}".strip()


def _parse_list(words: list[Word], at: int, node: Node, depth: int) -> int:
    opening = words[at]
    at += 1
    while at < len(words) and words[at].mark != "]":
        if words[at].mark:
            raise _unexpected(words[at])
        _child(node, words[at], depth)
        at += 1
    if at >= len(words):
        raise SyntaxProblem("[ is not closed", opening.line, opening.column)
    return at + 1


def _parse_set(words: list[Word], tree: Node, keep: bool) -> None:
    lines: dict[int, list[Word]] = {}
    for word in words:
        lines.setdefault(word.line, []).append(word)
    for verb, *path in lines.values():
        if verb.kind is not Kind.BARE or verb.text not in SET_FORM or not path:
            raise SyntaxProblem(f"expected: {' | '.join(SET_FORM)} STATEMENT", verb.line, verb.column)
        if verb.text == "set":
            _set(tree, path)
        elif verb.text == "deactivate" and keep:
            _known(tree, path).inactive = True
        else:
            _delete(tree, path)


def _set(tree: Node, path: list[Word]) -> None:
    node, at, depth = tree, 0, 0
    while at < len(path):
        if path[at].mark == "[" and node is not tree:
            at = _parse_list(path, at, node, depth)
        elif path[at].mark:
            raise _unexpected(path[at])
        else:
            node = _child(node, path[at], depth)
            at, depth = at + 1, depth + 1


def _delete(tree: Node, path: list[Word]) -> None:
    """Deleting the last thing below a word deletes the word, as in Junos a bare container would not be kept.

    What no line above has set is a problem: a misspelt ``deactivate`` would leave alive what the operator thinks is off.
    """
    *above, last = path
    _known(tree, path)
    parent = tree.find(*(word.text for word in above))
    assert parent is not None
    del parent.children[last.text]
    if above and not parent.children:
        _delete(tree, above)


def _known(tree: Node, path: list[Word]) -> Node:
    node = tree.find(*(word.text for word in path))
    if node is None:
        raise SyntaxProblem(f"nothing above has set {' '.join(word.text for word in path)}", path[0].line, path[0].column)
    return node


def without(node: Node, places: set[tuple[int, int]]) -> Node:
    """A tree of its own that lacks every word which stands at one of ``places`` (line, column), with what is below."""
    kept = {text: child for text, child in node.children.items() if (child.word.line, child.word.column) not in places}
    below = {text: without(child, places) for text, child in kept.items()}
    return Node(node.word, below, node.inactive, node.comment)


def copy(node: Node) -> Node:
    """A tree of its own."""
    return Node(node.word, {text: copy(child) for text, child in node.children.items()}, node.inactive, node.comment)


def quoted(text: str) -> str:
    """A word as it must be written."""
    plain = text and not any(c.isspace() or c in PUNCTUATION + '"#' for c in text) and not text.startswith(("$", "/*"))
    if plain and text not in (*SET_FORM, INACTIVE, REPLACE):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


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
