"""This release takes every datagram of each wire version it speaks as the release took it that introduced the version."""

import json
from pathlib import Path

import pytest

from jsrpd.wire.link import VERSIONS
from tests.unit.wire.nodes import make_link
from tests.unit.wire.record import DIRECTORY, LIVES, meaning

RECORDINGS = sorted(DIRECTORY.glob("version-*.jsonl"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_every_datagram_means_what_it_meant(path: Path) -> None:
    """Fields that a later version adds have their defaults, so what is recorded must be part of what is understood."""
    links = (make_link(0, LIVES[0], versions=VERSIONS), make_link(1, LIVES[1], versions=VERSIONS))
    for line in map(json.loads, path.read_text().splitlines()):
        understood = meaning(links[line["to"]].receive(line["path"], bytes.fromhex(line["datagram"])))
        assert within(line["means"], understood), (line["means"], understood)


def within(recorded: object, understood: object) -> bool:
    """Whether everything recorded is understood, names a later version adds left aside."""
    if isinstance(recorded, dict) and isinstance(understood, dict):
        return recorded.keys() <= understood.keys() and all(within(recorded[name], understood[name]) for name in recorded)
    if isinstance(recorded, list) and isinstance(understood, list | tuple):
        return len(recorded) == len(understood) and all(map(within, recorded, understood))
    return recorded == understood


def test_every_version_spoken_has_its_reference() -> None:
    assert [path.stem for path in RECORDINGS] == [f"version-{number}" for number in range(VERSIONS[0], VERSIONS[1] + 1)]


def test_what_differs_is_found() -> None:
    assert not within({"says": {"groups": [{"weight": 1}]}}, {"says": {"groups": [{"weight": 2}]}})
    assert not within({"heartbeat": 1}, {})
    assert not within([1], [1, 2])
    assert within({"groups": [{"weight": 1}]}, {"groups": [{"weight": 1, "later": 0}]})
