"""Carrier of interfaces, as far as the loopback interface can show it."""

from jsrpd.kernel.link_events import LinkMonitor


def test_a_missing_interface_is_down() -> None:
    """And names longer than the kernel's do no harm."""
    monitor = LinkMonitor(["no-such-if", "a name far too long for the kernel"])
    monitor.poll_carrier()
    monitor.read_events()
    assert not any(monitor.is_up(name) for name in monitor.interfaces)
    assert monitor.fileno() >= 0
