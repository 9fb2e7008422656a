"""A small sound configuration for the tests, and what is made of it."""

from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.model.configuration import ClusterConfiguration

SOUND = """
set chassis cluster reth-count 2
set chassis cluster control-link 0 interface ctl0
set chassis cluster redundancy-group 0 node 0 priority 200
set chassis cluster redundancy-group 0 node 1 priority 100
set chassis cluster redundancy-group 1 node 0 priority 200
set chassis cluster redundancy-group 1 node 1 priority 100
set chassis cluster redundancy-group 1 interface-monitor lan weight 255
set interfaces fab0 fabric-options member-interfaces fab
set interfaces fab1 fabric-options member-interfaces fab
set interfaces lan gigether-options redundant-parent reth0
set interfaces reth0 redundant-ether-options redundancy-group 1
set interfaces reth0 unit 0 family inet address 192.0.2.1/24
set interfaces reth0 unit 0 family inet6 address 2001:db8::1/64
"""


def read(*more: str, node: int = 0, text: str = SOUND) -> ClusterConfiguration:
    """What node ``node`` of cluster 7 makes of the text and further ``set`` lines."""
    return load(text + "".join(f"{line}\n" for line in more), Identity(7, node))


def problems(*more: str, node: int = 0, text: str = SOUND) -> list[str]:
    """Every problem as ``path: message (did you mean …?)``, without its place."""
    try:
        read(*more, node=node, text=text)
    except ConfigurationError as error:
        return [problem.render("").split(" ", 1)[1] for problem in error.problems]
    return []
