"""Tokens that are guessed: by one, by a whole IPv6 network, by very many; and pages of others."""

from pathlib import Path

import pytest

from jsrpd.configuration.api_tokens import make_token
from jsrpd.gateway import access
from jsrpd.gateway.access import ATTEMPTS, PER_S, TELL_EVERY_S, Tokens, foreign_page
from jsrpd.model.access import Access


class Guessed:
    """Tokens under a clock of the test's."""

    def __init__(self, directory: Path) -> None:
        self.now = 0.0
        self.reports: list[str] = []
        self.token = make_token(directory, "a", Access.READ)
        self.tokens = Tokens(directory, self.reports.append, lambda: self.now)

    def guess(self, source: str) -> int:
        """Seconds until it may be tried again."""
        return self.tokens.client(source, "Bearer jsrp_wrong").retry_s

    def may(self, source: str) -> bool:
        return self.tokens.client(source, f"Bearer {self.token}").access is Access.READ


@pytest.fixture
def guessed(tmp_path: Path) -> Guessed:
    return Guessed(tmp_path)


def test_a_minute_later_there_are_attempts_again(guessed: Guessed) -> None:
    assert [guessed.guess("192.0.2.1") for _ in range(ATTEMPTS)] == [0] * ATTEMPTS
    assert not guessed.may("192.0.2.1")
    assert guessed.may("192.0.2.2")
    guessed.now += PER_S
    assert guessed.may("192.0.2.1")


def test_a_network_is_one_source(guessed: Guessed) -> None:
    for n in range(ATTEMPTS):
        guessed.guess(f"2001:db8::{n}")
    assert not guessed.may("2001:db8::ffff")
    assert guessed.may("2001:db8:0:1::1")
    assert guessed.may("fe80::1%eth0")


def test_many_sources_are_forgotten_and_told_seldom(guessed: Guessed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_SOURCES", 10)
    for n in range(50):
        for _ in range(ATTEMPTS):
            guessed.guess(f"192.0.2.{n}")
    assert len(guessed.tokens._wrong) == 10
    assert len(guessed.reports) == 1
    guessed.now += TELL_EVERY_S
    for _ in range(ATTEMPTS):
        guessed.guess("198.51.100.1")
    assert len(guessed.reports) == 2


@pytest.mark.parametrize(
    ("host", "origin", "unix", "foreign"),
    [
        ("localhost:9470", "", True, False),
        ("localhost:9470", "http://localhost:9470", True, False),
        ("127.0.0.1:9470", "", True, False),
        ("[::1]:9470", "", True, False),
        ("", "", True, False),
        ("jsrpd", "", True, False),
        ("evil.example:9470", "", True, True),
        ("[x", "", True, True),
        ("gw.example:9470", "", False, False),
        ("gw.example:9470", "https://gw.example:9470", False, False),
        ("gw.example:9470", "https://evil.example", False, True),
        ("localhost:9470", "null", True, True),
    ],
)
def test_pages_of_others(host: str, origin: str, unix: bool, foreign: bool) -> None:
    headers = {"host": host, **({"origin": origin} if origin else {})}
    assert bool(foreign_page(headers, unix)) == foreign
