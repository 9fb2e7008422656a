"""Carrier as the engine sees it, on real links: told at once where the kernel does so, asked for where it does not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jsrpd.kernel.link_events import LinkMonitor
from jsrpd.lab.topology import run
from tests.end_to_end.test_gate import eventually, inside, ip

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

NAME = f"jlinks-{os.getpid()}"
FAR = f"{NAME}-far"


@pytest.fixture
def links() -> Iterator[LinkMonitor]:
    """Cables ``c1`` and ``c2`` to another namespace, where one of them has the same index as here; ``c3`` is missing."""
    monitor = None
    try:
        for name in (NAME, FAR):
            ip("netns", "add", name)
        for cable, index, far in (("c1", "11", "21"), ("c2", "12", "12")):
            ip("-n", NAME, "link", "add", cable, "index", index, "type", "veth", "peer", "name", cable, "index", far, "netns", FAR)
            for end in (NAME, FAR):
                ip("-n", end, "link", "set", cable, "up")
        with inside(NAME):
            monitor = LinkMonitor(("c1", "c2", "c3"))
        yield monitor
    finally:
        if monitor is not None:
            monitor.close()
        for name in (NAME, FAR):
            if Path("/run/netns", name).exists():
                ip("netns", "delete", name)


def told(links: LinkMonitor, name: str, up: bool) -> None:
    """By events alone, without asking."""

    def seen() -> bool:
        links.read_events()
        return links.is_up(name) == up

    eventually(seen, f"{name} is told {'up' if up else 'down'}")


def test_what_is_there_already_and_what_is_missing(links: LinkMonitor) -> None:
    assert [links.is_up(name) for name in links.interfaces] == [True, True, False]


def test_loss_and_return_of_carrier_are_told(links: LinkMonitor) -> None:
    ip("-n", FAR, "link", "set", "c1", "down")
    told(links, "c1", False)
    ip("-n", FAR, "link", "set", "c1", "up")
    told(links, "c1", True)


def test_a_link_with_equal_indexes_is_asked(links: LinkMonitor) -> None:
    assert links.must_be_asked
    ip("-n", FAR, "link", "set", "c2", "down")
    assert links.ask()
    assert not links.is_up("c2")
    assert not links.ask()


def test_links_that_are_told_are_not_asked(links: LinkMonitor) -> None:
    ip("-n", FAR, "link", "set", "c1", "down")
    assert not links.ask()
    told(links, "c1", False)


@pytest.mark.usefixtures("links")
def test_nothing_to_ask_when_every_link_is_told() -> None:
    with inside(NAME):
        only = LinkMonitor(("c1",))
    assert not only.must_be_asked
    only.close()


def test_administratively_down_is_down(links: LinkMonitor) -> None:
    ip("-n", NAME, "link", "set", "c1", "down")
    told(links, "c1", False)


def test_a_link_that_goes_and_comes(links: LinkMonitor) -> None:
    ip("-n", NAME, "link", "delete", "c1")
    told(links, "c1", False)
    ip("-n", NAME, "link", "add", "c3", "up", "type", "veth", "peer", "name", "c3", "netns", FAR)
    ip("-n", FAR, "link", "set", "c3", "up")
    told(links, "c3", True)


def test_a_link_that_is_renamed(links: LinkMonitor) -> None:
    ip("-n", NAME, "link", "set", "c1", "name", "c3")
    told(links, "c1", False)
    told(links, "c3", True)


def test_a_port_that_leaves_its_bridge_lives_on(links: LinkMonitor) -> None:
    ip("-n", NAME, "link", "add", "bridge0", "type", "bridge")
    ip("-n", NAME, "link", "set", "c1", "master", "bridge0")
    ip("-n", NAME, "link", "set", "c1", "nomaster")
    # Events come in order, so once this is told, so is what went before.
    ip("-n", NAME, "link", "set", "c2", "down")
    told(links, "c2", False)
    assert links.is_up("c1")


def test_events_that_were_lost(links: LinkMonitor) -> None:
    """More events than the socket holds: the newest are lost, so the state can only come from asking."""
    batch = "".join(f"link set bridge0 {'up' if up else 'down'}\n" for up in [True, False] * 2000)
    ip("-n", NAME, "link", "add", "bridge0", "type", "bridge")
    run("ip", "-n", NAME, "-batch", "-", text=batch)
    ip("-n", FAR, "link", "set", "c1", "down")
    told(links, "c1", False)
    assert links.must_be_asked
