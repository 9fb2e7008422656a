"""The manual pages: nothing is missing in them, and groff has nothing to complain of."""

import re
import shutil
import subprocess

import pytest

from jsrpd.cli.tree import ENTRIES
from jsrpd.configuration.schema import CLUSTER, TOP, Statement, choice, integer
from jsrpd.messages.catalogue import CATALOGUE
from tools import roff
from tools.manual import PAGES, statements


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """Each page as a reader sees it, with every run of spaces as one."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed; make test installs it")
    pages = {}
    for name, make in PAGES.items():
        command = ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-P-cbou"]
        done = subprocess.run(command, input=make(), capture_output=True, text=True, check=True)
        assert done.stderr == "", name
        pages[name] = re.sub(r"\s+", " ", done.stdout)
    return pages


def test_every_message(shown: dict[str, str]) -> None:
    for tag, entry in CATALOGUE.items():
        assert f"{tag} {entry.severity.label}: {entry.text}" in shown["jsrpd.8"]


def test_every_command(shown: dict[str, str]) -> None:
    for entry in ENTRIES:
        assert f"{entry.form} {entry.help}." in shown["jsrp.1"]


def test_every_statement(shown: dict[str, str]) -> None:
    listed = statements(TOP)
    assert len(listed) > len(CLUSTER)
    for statement, said in listed:
        assert " ".join([statement, *said]) in shown["jsrpd.conf.5"]


def test_statements_are_explained() -> None:
    schema = {
        "unit": Statement("a unit", key=integer(0, 3), below={"mode": Statement("how", value=choice("a", "b"), default="a")}),
        "flag": Statement("a flag", refuse="is not in this release"),
    }
    assert statements(schema) == [
        ("unit UNIT", ["A unit.", "UNIT: 0..3."]),
        ("unit UNIT mode VALUE", ["How.", "Value: a | b.", "Default: a."]),
        ("flag", ["A flag.", "Refused: it is not in this release."]),
    ]


@pytest.mark.parametrize("words", [".TH is no request here", "'tis", "back\\slash", "a-b --c `d` ~e ^f"])
def test_words_come_out_as_they_went_in(words: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed; make test installs it")
    page = "\n".join([roff.title("x", 1, "1"), roff.heading("X"), roff.paragraph(words)])
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-cbou"], input=page, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert words in done.stdout
