"""The candidate: a tree that is edited word by word against the schema, and knows nothing of files, nodes or commits.

Every operation takes the words of a path from the top; ``EditFailed`` says why it was not done, and then nothing was.
"""

from collections.abc import Iterable

from jsrpd.configuration.check import check
from jsrpd.configuration.junos import Node, SyntaxProblem, Word, copy, parse
from jsrpd.configuration.one_line import spread
from jsrpd.configuration.places import TOP_PLACE, Place, Role, Step, WrongWord, in_full, statements, step, walk
from jsrpd.configuration.render import text_of

MAX_TEXT_BYTES = 2 << 20
"""A hundred times a large cluster; what is longer is something else."""
NO_SUCH = "warning: statement not found"


class EditFailed(Exception):
    """The text is for the operator."""


class NotThere(EditFailed):
    """Nothing stands at that path: who wants it away has what he wants."""


def read(text: str, name: str = "terminal") -> Node:
    """A tree to be edited, of known statements only. EditFailed for what is too long, no configuration, or unknown."""
    if len(text) > MAX_TEXT_BYTES:
        raise EditFailed(f"error: {name}: {len(text) >> 20} MB is more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)")
    if "\0" in text:
        raise EditFailed(f"error: {name} is not text")
    try:
        tree = parse(text, keep=True)
    except SyntaxProblem as error:
        raise EditFailed(f"{name}:{error.line}:{error.column}: syntax error: {error.message}") from error
    spread(tree)
    problems = check(tree, applied=False)
    if problems:
        raise EditFailed("\n".join(problem.render(name) for problem in problems))
    _lift_marks(tree, TOP_PLACE)
    return tree


def _lift_marks(node: Node, place: Place) -> None:
    """What is said of a leaf's only value is said of the leaf."""
    for text, child in node.children.items():
        found = step(place, text)
        assert found is not None, "checked before"
        if found.role is Role.LEAF and len(child.children) == 1:
            (value,) = child.children.values()
            child.inactive, value.inactive = child.inactive or value.inactive, False
            child.comment, value.comment = "\n".join(filter(None, (child.comment, value.comment))), ""
            child.replace, value.replace = child.replace or value.replace, False
        _lift_marks(child, found)


class Candidate:
    """The tree in the making."""

    def __init__(self, tree: Node) -> None:
        self.tree = tree

    def text(self) -> str:
        """As it is kept in a file."""
        return text_of(self.tree)

    def put(self, above: list[str], words: list[str]) -> None:
        """Add or change the statements of one line. ``above``: the words of the edit level."""
        for steps in self._statements(above, words):
            self._put([*walk(above), *steps])

    def _statements(self, above: list[str], words: list[str]) -> list[list[Step]]:
        try:
            start = walk(above)[-1].place if above else TOP_PLACE
            return statements(words, start)
        except WrongWord as error:
            raise EditFailed(_pointed(above, words, error)) from error

    def _put(self, steps: list[Step]) -> None:
        node = self.tree
        for one in steps:
            statement = one.place.statement
            if one.place.role is Role.VALUE and statement is not None and not statement.many:
                node.children = {text: child for text, child in node.children.items() if text == one.word}
            node = node.child(Word(one.word, 1, 1))

    def delete(self, path: list[str]) -> None:
        """The statement and what is below; an empty path: everything. Containers that are empty then go as well. NotThere."""
        if not path:
            self.tree.children.clear()
            return
        steps = self._known(path)
        nodes = self._nodes(steps)
        del nodes[-2].children[steps[-1].word]
        for at in range(len(steps) - 2, -1, -1):
            if nodes[at + 1].children or not _goes_when_empty(steps[at].place):
                return
            del nodes[at].children[steps[at].word]

    def _known(self, path: list[str]) -> list[Step]:
        try:
            steps = [Step(in_full(place, word), place) for word, place in self._places(path)]
        except WrongWord as error:
            raise EditFailed(_pointed([], path, error)) from error
        if self.tree.find(*(one.word for one in steps)) is None:
            raise NotThere(NO_SUCH)
        return steps

    def _places(self, path: list[str]) -> Iterable[tuple[str, Place]]:
        """Words and places without a check of values: what stands in the tree may be taken out whatever it is."""
        place = TOP_PLACE
        for at, typed in enumerate(path):
            word = in_full(place, typed)
            found = step(place, word)
            if found is None:
                raise WrongWord(f"unknown statement {typed}", at)
            place = found
            yield word, place

    def _nodes(self, steps: list[Step]) -> list[Node]:
        """The top, then the node of each step."""
        nodes = [self.tree]
        for one in steps:
            nodes.append(nodes[-1].children[one.word])
        return nodes

    def find(self, path: list[str]) -> tuple[Node, Place]:
        """What stands at a path. EditFailed when nothing does."""
        if not path:
            return self.tree, TOP_PLACE
        steps = self._known(path)
        return self._nodes(steps)[-1], steps[-1].place

    def activate(self, path: list[str], active: bool) -> None:
        """Take a statement out of effect, or put it in."""
        if not path:
            raise EditFailed("error: a statement is missing")
        self._whole_statement(path).inactive = not active

    def annotate(self, path: list[str], comment: str) -> None:
        """Say something of a statement; an empty comment takes what was said."""
        self._whole_statement(path).comment = comment.strip().replace("*/", "* /")

    def _whole_statement(self, path: list[str]) -> Node:
        """The node that stands for the statement: of a leaf with one value the leaf, not its value."""
        steps = self._known(path)
        nodes = self._nodes(steps)
        value = steps[-1].place.role is Role.VALUE
        return nodes[-2] if value and len(nodes[-2].children) == 1 else nodes[-1]

    def rename(self, path: list[str], name: str) -> None:
        """Give an entry of a list, or a value, another name; it keeps its place among the others."""
        parent, steps = self._entry(path)
        self._must_be_free(parent, steps, name)
        old = steps[-1].word
        parent.children = {name if text == old else text: child for text, child in parent.children.items()}
        parent.children[name].word = Word(name, 1, 1)

    def copy(self, path: list[str], name: str) -> None:
        """Another entry with the same statements, at the end of its list."""
        parent, steps = self._entry(path)
        self._must_be_free(parent, steps, name)
        made = copy(parent.children[steps[-1].word])
        made.word = Word(name, 1, 1)
        parent.children[name] = made

    def insert(self, path: list[str], before: bool, other: str) -> None:
        """Put an entry before or behind another of its list."""
        parent, steps = self._entry(path)
        name = steps[-1].word
        if other not in parent.children or other == name:
            raise EditFailed(f"error: there is no other entry {other}")
        moved = parent.children.pop(name)
        order = list(parent.children)
        order.insert(order.index(other) + (not before), name)
        parent.children = {text: moved if text == name else parent.children[text] for text in order}

    def _entry(self, path: list[str]) -> tuple[Node, list[Step]]:
        steps = self._known(path)
        nodes = self._nodes(steps)
        above = steps[-2].place if len(steps) > 1 else TOP_PLACE
        keyed = steps[-1].place.role in (Role.ENTRY, Role.VALUE) or above.role is Role.LIST
        if not keyed:
            raise EditFailed(f"error: {steps[-1].word} is not an entry of a list")
        return nodes[-2], steps

    def _must_be_free(self, parent: Node, steps: list[Step], name: str) -> None:
        if name in parent.children:
            raise EditFailed(f"error: {name} exists already")
        try:
            walk([*(one.word for one in steps[:-1]), name])
        except WrongWord as error:
            raise EditFailed(f"error: {error}") from error

    def merge(self, other: Node) -> None:
        """Add what another tree has; its values win."""
        _merge(self.tree, other, TOP_PLACE)

    def replace(self, other: Node) -> None:
        """As ``merge``; where the other tree has the tag ``replace:``, what stood there goes first."""
        for path in list(_tagged(other)):
            if self.tree.find(*path) is not None:
                self.delete(list(path))
        self.merge(other)


def _tagged(node: Node, path: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for text, child in node.children.items():
        if child.replace:
            yield (*path, text)
        else:
            yield from _tagged(child, (*path, text))


def _goes_when_empty(place: Place) -> bool:
    if place.role in (Role.LIST, Role.LEAF):
        return True
    return place.role is Role.CONTAINER and place.statement is not None and not place.statement.presence


def _merge(into: Node, other: Node, place: Place) -> None:
    for text, child in other.children.items():
        found = step(place, text)
        assert found is not None
        statement = found.statement
        if found.role is Role.VALUE and statement is not None and not statement.many:
            into.children = {key: node for key, node in into.children.items() if key == text}
        mine = into.child(child.word)
        mine.inactive, mine.comment = child.inactive, child.comment or mine.comment
        _merge(mine, child, found)


def _pointed(above: list[str], words: list[str], error: WrongWord) -> str:
    """The line with a mark under the word that is wrong."""
    before = " ".join([*words[: error.at], ""])
    line = " ".join(words)
    context = f"[edit{''.join(' ' + word for word in above)}]\n" if above else ""
    return f"{context}  {line}\n  {' ' * len(before)}^\nsyntax error: {error}"
