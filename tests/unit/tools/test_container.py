"""The container's recipe asks for the rights of the unit, no more and no less."""

import re
from pathlib import Path

PACKAGING = Path(__file__).parents[3] / "packaging"


def test_the_rights_of_the_unit() -> None:
    unit = (PACKAGING / "systemd/jsrpd.service").read_text()
    recipe = (PACKAGING / "container/Containerfile").read_text()
    (stated,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
    assert {f"CAP_{name}" for name in re.findall(r"--cap-add (\w+)", recipe)} == set(stated.split())
    assert "--cap-drop all" in recipe
