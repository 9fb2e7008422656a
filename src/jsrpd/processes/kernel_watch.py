"""Settings of connection tracking that somebody may change under the session process, and whether its table has room."""

from jsrpd.kernel import sysctl

PREFIX = "net/netfilter/nf_conntrack_"
EVENTS, WANTED = f"{PREFIX}events", "1"
WATCHED = ("tcp_loose", "tcp_be_liberal", "max")
"""Of which a change is told: a connection that another kernel brought is judged by them."""
ROOM = 0.95
"""Less than this part of the table is taken: there is room again."""


class KernelWatch:
    """``was_silent``: for a while the kernel told nothing of what began. Whoever reads it sets it back."""

    def __init__(self) -> None:
        self.was_silent = False
        self._silent = False
        self._former = {name: sysctl.read(PREFIX + name) for name in WATCHED}

    def listen(self) -> None:
        """To be called several times a second. Who puts it back must be who learns that nothing was told meanwhile."""
        value = sysctl.read(EVENTS)
        silent = value == "0"
        if value not in (None, WANTED):
            silent &= not sysctl.write(EVENTS, WANTED)
        self.was_silent |= (self._silent or value == "0") and not silent
        self._silent = silent

    def look(self) -> list[str]:
        """Sentences for the log; a condition is told as long as it lasts."""
        told = []
        if self._silent or self.was_silent:
            told.append("the kernel told nothing of connections: somebody had set net.netfilter.nf_conntrack_events to 0")
        for name in WATCHED:
            value, former = sysctl.read(PREFIX + name), self._former[name]
            if value is not None and value != former:
                self._former[name] = value
                told.append(f"net.netfilter.nf_conntrack_{name} was changed from {former} to {value}: keep it alike on both nodes")
        held, most = self.table()
        if 0 < most <= held:
            told.append("the connection table is full: raise net.netfilter.nf_conntrack_max, on both nodes alike")
        return told

    @property
    def has_room(self) -> bool:
        """For some more connections."""
        held, most = self.table()
        return not most or held < most * ROOM

    @staticmethod
    def table() -> tuple[int, int]:
        """Connections in the kernel, and how many it has room for; 0 where it does not say."""
        held, most = (sysctl.read(PREFIX + name) for name in ("count", "max"))
        return int(held or 0), int(most or 0)
