"""``show chassis cluster services``: what follows the roles on the answering node. Not in the vendor's command set."""

from typing import TYPE_CHECKING

import msgspec

from jsrpd.cli.render_text import node_block
from jsrpd.model.status import ClusterStatus

if TYPE_CHECKING:
    from jsrpd.cli.render_xml import Element

NOTHING = "No services are bound to a redundancy group"


def as_text(status: ClusterStatus) -> str:
    """One table, by group in the order of the configuration."""
    if not status.services:
        return node_block(status.node, NOTHING)
    width = max(len("Service"), *(len(service.name) for service in status.services)) + 2
    lines = [f"{'Group':<8}{'Service':<{width}}{'Status':<22}Problem"]
    lines += [
        f"{service.group:<8}{service.name:<{width}}{service.state:<22}{service.problem or 'None'}" for service in status.services
    ]
    return node_block(status.node, "\n".join(lines))


def as_json(status: ClusterStatus) -> str:
    """Indented JSON with a final line end."""
    tree = {"node": status.node, "services": msgspec.to_builtins(status.services)}
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"


def as_xml(status: ClusterStatus) -> "Element":
    """``multi-routing-engine-results`` with the answering node's item; flat repeats, as the vendor's services have them."""
    from jsrpd.cli.render_xml import by_node

    leaves: list[Element] = []
    for service in status.services:
        leaves += [("redundancy-group-id", service.group), ("service-name", service.name), ("service-status", service.state)]
        leaves.append(("service-problem", service.problem or "None"))
    return by_node([(status.node, [("chassis-cluster-services", leaves)])])
