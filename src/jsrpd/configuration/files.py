"""The configuration file in its three forms: Junos text, or the same tree as YAML or JSON (same words, same nesting).

A list such as ``redundancy-group`` is a mapping of its keys, a leaf is a scalar or, with several values, a sequence, a
statement that only stands there is ``true``. What the text form says of a statement beside it, that it is inactive or a
comment, stands under ``"@"`` in it, or under ``"@NAME"`` beside a leaf. Lines and columns of problems are those of the file.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsrpd.configuration.candidate import MAX_TEXT_BYTES, EditFailed, read
from jsrpd.configuration.junos import MAX_DEPTH, Kind, Node, SyntaxProblem, Word, parse, root
from jsrpd.configuration.places import TOP_PLACE, Place, Role, step
from jsrpd.configuration.render import text_of

if TYPE_CHECKING:
    import yaml

NATIVE, YAML, JSON = "jsrpd.conf", "jsrpd.yaml", "jsrpd.json"
NAMES = (NATIVE, YAML, JSON)
MARKS = "@"
MAX_WORDS = 100_000
"""Aliases of YAML make much of little."""
STANDS_THERE = ("", "~", "null", "true")


def in_use(directory: Path) -> Path:
    """The file of a node: the first of ``NAMES`` that exists, else the native one."""
    # Not Path.exists, which raises where the directory may not be looked into: whoever reads the file is told so.
    return next((directory / name for name in NAMES if os.path.exists(directory / name)), directory / NATIVE)


def text_at(path: Path, errors: str = "replace") -> str:
    """What a file says, of one that is too large a little more than may be parsed. OSError, UnicodeDecodeError if strict."""
    with path.open(errors=errors) as file:
        return file.read(MAX_TEXT_BYTES + 1)


def parsed(text: str, name: str, keep: bool = False) -> Node:
    """The tree of a file by the end of its name. SyntaxProblem. ``keep`` as in ``junos.parse``."""
    if len(text) > MAX_TEXT_BYTES:
        raise SyntaxProblem(f"more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)", 1, 1)
    if not name.endswith((".yaml", ".yml", ".json")):
        return parse(text, keep)
    tree = _of_data(text)
    return tree if keep else parse(text_of(tree))


def read_tree(text: str, name: str) -> Node:
    """A tree to be edited. EditFailed."""
    if not name.endswith((".yaml", ".yml", ".json")):
        return read(text, name)
    if len(text) > MAX_TEXT_BYTES:
        raise EditFailed(f"error: {name}: more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)")
    try:
        return read(text_of(_of_data(text)), name)
    except SyntaxProblem as error:
        raise EditFailed(f"{name}:{error.line}:{error.column}: syntax error: {error.message}") from error


def written(text: str, name: str) -> str:
    """Native text in the form that the name asks for."""
    if name.endswith(".json"):
        return as_json(read(text))
    return as_yaml(read(text)) if name.endswith((".yaml", ".yml")) else text


def as_json(tree: Node) -> str:
    """The tree as JSON."""
    return json.dumps(data_of(tree), indent=2, ensure_ascii=False) + "\n"


def as_yaml(tree: Node) -> str:
    """The tree as YAML."""
    import yaml

    return str(yaml.safe_dump(data_of(tree), sort_keys=False, allow_unicode=True, default_flow_style=False, width=120))


# -- tree to data -----------------------------------------------------------------------------------------------------


def data_of(node: Node, place: Place = TOP_PLACE) -> dict[str, Any]:
    """What stands below a node, as mappings, sequences and scalars."""
    data = dict[str, Any]()
    for text, child in node.children.items():
        found = step(place, text)
        leaf = found is None or found.role is Role.LEAF
        marks = _marks(child if leaf else Node(child.word, {}, child.inactive, child.comment))
        if marks and (leaf or not child.children):
            data[f"{MARKS}{text}"] = marks
        if not child.children:
            data[text] = True
        elif leaf:
            many = found is not None and found.statement is not None and found.statement.many
            values = [_scalar(value) for value in child.children]
            data[text] = values if many or len(values) > 1 else values[0]
        else:
            assert found is not None
            data[text] = ({MARKS: marks} if marks else {}) | data_of(child, found)
    return data


def _marks(node: Node) -> dict[str, Any]:
    """Of a leaf with several values also what is said of single ones."""
    marks = dict[str, Any]()
    values = [child for child in node.children.values() if not child.children]
    if node.inactive:
        marks["inactive"] = True
    elif any(value.inactive for value in values):
        marks["inactive"] = [_scalar(value.word.text) for value in values if value.inactive]
    comment = "\n".join(filter(None, (node.comment, *(value.comment for value in values))))
    if comment:
        marks["comment"] = comment
    return marks


def _scalar(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() and (text == "0" or text[0] != "0") and len(text) < 16 else text


# -- data to tree -----------------------------------------------------------------------------------------------------


def _of_data(text: str) -> Node:
    import yaml

    try:
        # JSON is YAML, too, but for tabs, which it allows anywhere between its words.
        composed = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SyntaxProblem(error.problem or "not readable", line, column) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SyntaxProblem(f"not readable: {error}".splitlines()[0], 1, 1) from error
    tree = root()
    if composed is not None:
        _take(composed, tree, TOP_PLACE, 0, set(), [MAX_WORDS])
    return tree


def _place_of(node: "yaml.Node") -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _take(data: "yaml.Node", into: Node, place: Place | None, depth: int, above: set[int], left: list[int]) -> None:
    """``above``: the nodes on the way here, because a YAML alias may lead back to one. ``left``: words that may still come."""
    import yaml

    line, column = _place_of(data)
    left[0] -= 1
    if left[0] < 0:
        raise SyntaxProblem(f"more than {MAX_WORDS} words", line, column)
    if id(data) in above or depth >= MAX_DEPTH:
        raise SyntaxProblem(
            "an alias that leads to itself" if id(data) in above else f"more than {MAX_DEPTH} levels deep", line, column
        )
    above = above | {id(data)}
    if isinstance(data, yaml.SequenceNode):
        for item in data.value:
            if not isinstance(item, yaml.ScalarNode):
                raise SyntaxProblem("a sequence holds values only", *_place_of(item))
            into.child(_word(item))
    elif isinstance(data, yaml.ScalarNode):
        if data.value.lower() not in STANDS_THERE or (place is not None and place.role is Role.LEAF):
            into.child(_word(data))
    else:
        assert isinstance(data, yaml.MappingNode)
        _take_mapping(data, into, place, depth, above, left)


def _take_mapping(data: "yaml.MappingNode", into: Node, place: Place | None, depth: int, above: set[int], left: list[int]) -> None:
    import yaml

    marks = list[tuple[str, yaml.Node]]()
    for key, value in data.value:
        if not isinstance(key, yaml.ScalarNode):
            raise SyntaxProblem("a statement is one word", *_place_of(key))
        if key.value.startswith(MARKS):
            marks.append((key.value[1:], value))
            continue
        if key.value in into.children:
            raise SyntaxProblem(f"{key.value} is given twice", *_place_of(key))
        child = into.child(_word(key))
        _take(value, child, step(place, key.value) if place is not None else None, depth + 1, above, left)
    for name, value in marks:
        marked = into.children.get(name) if name else into
        if marked is None or not isinstance(value, yaml.MappingNode):
            raise SyntaxProblem(f"{MARKS}{name} belongs to no statement", *_place_of(value))
        for key, said in value.value:
            if key.value == "inactive" and isinstance(said, yaml.SequenceNode):
                for item in said.value:
                    if item.value in marked.children:
                        marked.children[item.value].inactive = True
            elif key.value == "inactive":
                marked.inactive = said.value == "true"
            elif key.value == "comment":
                marked.comment = said.value
            else:
                raise SyntaxProblem(f"{key.value} is neither inactive nor comment", *_place_of(key))


def _word(node: "yaml.ScalarNode") -> Word:
    line, column = _place_of(node)
    return Word(node.value, line, column, Kind.BARE)
