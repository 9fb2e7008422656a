"""A tree as the operator reads it: in braces with comments and what is inactive, as ``set`` lines, and as a comparison.

The form in braces follows the schema: containers and entries open a brace, a leaf with its values is one line. What it
writes, ``junos.parse`` reads back as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jsrpd.configuration.junos import INACTIVE, Node, quoted
from jsrpd.configuration.places import TOP_PLACE, Place, Role, step

INDENT = "    "
FAMILIES = ("family",)


def text_of(node: Node, place: Place = TOP_PLACE) -> str:
    """What stands below a node, in braces."""
    alone = _comment_lines(node, "") if place is TOP_PLACE and not node.children else ()
    return "".join(f"{line}\n" for line in (*alone, *lines_below(node, place)))


def lines_below(node: Node, place: Place = TOP_PLACE, depth: int = 0) -> Iterator[str]:
    """The lines of everything below a node."""
    for child in node.children.values():
        yield from lines_of(child, step(place, child.word.text), depth)


def lines_of(node: Node, place: Place | None, depth: int = 0, before: str = "") -> Iterator[str]:
    """The lines of one statement. ``before``: words of the same line."""
    indent = INDENT * depth
    if _is_way(node, place) and not node.inactive and not node.comment:
        assert place is not None
        for child in node.children.values():
            yield from lines_of(child, step(place, child.word.text), depth, f"{before}{quoted(node.word.text)} ")
        return
    yield from _comment_lines(node, indent)
    head = f"{indent}{INACTIVE + ' ' if node.inactive else ''}{before}{quoted(node.word.text)}"
    if not node.children:
        yield f"{head};"
    elif _is_leaf(place) and not any(_marked(child) for child in node.children.values()):
        values = [quoted(text) for text in node.children]
        yield f"{head} {values[0]};" if len(values) == 1 else f"{head} [ {' '.join(values)} ];"
    elif _is_leaf(place) and len(node.children) == 1 and not node.inactive:
        (value,) = node.children.values()
        yield from _comment_lines(value, indent)
        yield f"{indent}{INACTIVE + ' ' if value.inactive else ''}{before}{quoted(node.word.text)} {quoted(value.word.text)};"
    else:
        yield f"{head} {{"
        for child in node.children.values():
            yield from lines_of(child, step(place, child.word.text) if place else None, depth + 1)
        yield f"{indent}}}"


def _is_way(node: Node, place: Place | None) -> bool:
    """Only the way to what stands below it, on whose line it is written: ``unit 0 {``, ``family inet {``."""
    if place is None or not node.children:
        return False
    return place.role is Role.LIST or (place.role is Role.CONTAINER and node.word.text in FAMILIES)


def _is_leaf(place: Place | None) -> bool:
    return place is not None and place.role is Role.LEAF


def _marked(node: Node) -> bool:
    return node.inactive or bool(node.comment) or bool(node.children)


def _comment_lines(node: Node, indent: str) -> Iterator[str]:
    if not node.comment:
        return
    first, *others = node.comment.splitlines()
    if not others:
        yield f"{indent}/* {first} */"
        return
    yield f"{indent}/* {first}"
    for line in others[:-1]:
        yield f"{indent} * {line}"
    yield f"{indent} * {others[-1]} */"


def set_lines(node: Node, path: tuple[str, ...] = ()) -> Iterator[str]:
    """``set`` lines of everything below a node, then what is deactivated among it. ``path``: the words that lead to it."""
    for words in _leaves(node, path):
        yield "set " + " ".join(map(quoted, words))
    for words in _inactive(node, path):
        yield "deactivate " + " ".join(map(quoted, words))


def _leaves(node: Node, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for child in node.children.values():
        below = (*path, child.word.text)
        if child.children:
            yield from _leaves(child, below)
        else:
            yield below


def _inactive(node: Node, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for child in node.children.values():
        below = (*path, child.word.text)
        if child.inactive:
            yield below
        yield from _inactive(child, below)


# -- comparison -------------------------------------------------------------------------------------------------------


def comparison(old: Node, new: Node) -> str:
    """What ``new`` has and has not, under ``[edit …]`` headers; empty when they say the same."""
    return "".join(f"{line}\n" for line in _differences(old, new, TOP_PLACE, ()))


@dataclass(frozen=True, slots=True)
class _Pair:
    """A statement as it was and as it is. ``words``: from the place both stand in."""

    words: tuple[str, ...]
    was: Node | None
    now: Node | None
    place: Place

    @property
    def before(self) -> str:
        """The words of the same line that lead to the last one."""
        return "".join(f"{quoted(word)} " for word in self.words[:-1])


def _differences(old: Node, new: Node, place: Place, path: tuple[str, ...]) -> Iterator[str]:
    """First what changed directly here, then what changed further down."""
    here, deeper = _moves(old, new, place), list[_Pair]()
    for pair in _pairs(old, new, place):
        was, now = pair.was, pair.now
        if was is not None and now is not None and same(was, now):
            continue
        if was is not None and now is not None and _can_be_opened(was, now, pair.place):
            deeper.append(pair)
        else:
            here += _one_difference(pair)
    if here:
        yield f"[edit{''.join(' ' + quoted(word) for word in path)}]"
        yield from here
    for pair in deeper:
        assert pair.was is not None and pair.now is not None
        yield from _differences(pair.was, pair.now, pair.place, (*path, *pair.words))


def _pairs(old: Node, new: Node, place: Place, words: tuple[str, ...] = ()) -> Iterator[_Pair]:
    """The statements of both, those of a list one by one."""
    for text in [*old.children, *(text for text in new.children if text not in old.children)]:
        was, now = old.children.get(text), new.children.get(text)
        found = step(place, text)
        assert found is not None, "only what the schema knows is edited"
        if found.role is Role.LIST and not any(node is not None and _head(node) != (False, "") for node in (was, now)):
            present = was or now
            assert present is not None
            nothing = Node(present.word)
            yield from _pairs(was or nothing, now or nothing, found, (*words, text))
        else:
            yield _Pair((*words, text), was, now, found)


def _can_be_opened(was: Node, now: Node, place: Place) -> bool:
    return place.role is not Role.LEAF and bool(was.children) and bool(now.children) and _head(was) == _head(now)


def _one_difference(pair: _Pair) -> list[str]:
    was, now = pair.was, pair.now
    if was is not None and now is not None:
        if _same_below(was, now) and was.comment == now.comment:
            return [f"!   {INACTIVE if now.inactive else 'active:'} {_short(now, pair)}"]
        if _head(was) == _head(now) and pair.place.statement is not None and pair.place.statement.many:
            gone = Node(was.word, {text: node for text, node in was.children.items() if text not in now.children})
            came = Node(now.word, {text: node for text, node in now.children.items() if text not in was.children})
            was, now = (gone if gone.children else None), (came if came.children else None)
    removed = list(lines_of(was, pair.place, 0, pair.before)) if was is not None else []
    added = list(lines_of(now, pair.place, 0, pair.before)) if now is not None else []
    return [f"-   {line}" for line in removed] + [f"+   {line}" for line in added]


def _short(node: Node, pair: _Pair) -> str:
    lines = list(lines_of(Node(node.word, node.children), pair.place, 0, pair.before))
    return lines[0] if len(lines) == 1 else f"{lines[0]} ... }}"


def _moves(old: Node, new: Node, place: Place) -> list[str]:
    """Entries of the lists here that stand elsewhere among those both have."""
    moved = list[str]()
    for text, was in old.children.items():
        now, found = new.children.get(text), step(place, text)
        if now is None or found is None or found.role is not Role.LIST:
            continue
        before = [entry for entry in was.children if entry in now.children]
        after = [entry for entry in now.children if entry in was.children]
        moved += [f"!   {quoted(text)} {quoted(a)} {{ ... }}" for a, b in zip(after, before, strict=True) if a != b]
    return moved


def _head(node: Node) -> tuple[bool, str]:
    return node.inactive, node.comment


def _same_below(one: Node, other: Node) -> bool:
    if list(one.children) != list(other.children):
        return False
    return all(same(child, other.children[text]) for text, child in one.children.items())


def same(one: Node, other: Node) -> bool:
    """Whether two trees say the same; comments, order, and what is inactive included."""
    return _head(one) == _head(other) and _same_below(one, other)
