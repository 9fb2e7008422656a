"""Any file of another product: translated, or refused with a sentence; never another exception, and what comes out is ours."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsrpd.configuration import import_junos, import_keepalived
from jsrpd.configuration.junos import parse
from tests.unit.configuration.test_import_junos import BRACES, LOCKED, SESSION, SET, XML
from tests.unit.configuration.test_import_keepalived import EVERYTHING, INSTANCES, ONE

Importer = Callable[[str], tuple[str, list[str]]]
PIECES = [
    "{",
    "}",
    ";",
    "[",
    "]",
    '"',
    "'",
    "\\",
    "\n",
    "#",
    "!",
    "$A",
    "$A=$B",
    "~SEQ(A, 1, 3)",
    "@a",
    "@^a",
    "include x",
    "/*",
    "<*>",
]


def junos(text: str) -> tuple[str, list[str]]:
    return import_junos.imported(text, "x")


def keepalived(text: str) -> tuple[str, list[str]]:
    return import_keepalived.imported([("x", text)], lambda _pattern, _beside: [])


@st.composite
def spoilt(draw: st.DrawFn, sources: list[str]) -> str:
    """Words of real shapes: some missing, some twice, some in other places, and pieces of syntax where none belong."""
    words = draw(st.sampled_from(sources)).split(" ")
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(words)))
        end = at + draw(st.integers(0, 3))
        words[at:end] = draw(st.sampled_from([[], words[at:end] * 2, [draw(st.sampled_from(PIECES))], [draw(st.text(max_size=3))]]))
    return " ".join(words)


def outcome(imported: Importer, text: str) -> None:
    try:
        ours, remarks = imported(text)
    except ValueError as error:
        assert str(error)
        return
    parse(ours, keep=True)
    assert all(remark for remark in remarks)


@settings(max_examples=150, deadline=None)
@given(spoilt([BRACES, SET, XML, SESSION, LOCKED]))
def test_any_configuration_of_junos(text: str) -> None:
    outcome(junos, text)


@settings(max_examples=150, deadline=None)
@given(spoilt([ONE, INSTANCES, EVERYTHING]))
def test_any_configuration_of_keepalived(text: str) -> None:
    outcome(keepalived, text)


@pytest.mark.parametrize("imported", [junos, keepalived])
@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(imported: Importer, data: bytes) -> None:
    outcome(imported, data.decode(errors="replace"))
