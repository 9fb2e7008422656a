"""``| display json``: the whole snapshot, the same for every ``show chassis cluster`` display.

The shape is that of ``jsrpd.model.status.ClusterStatus``: its fields by name, ``null`` where the peer has not told.
Only monitor failures are written as operators know them, ``["IF", "IP"]`` instead of bits.
"""

import msgspec

from jsrpd.model.roles import codes_of
from jsrpd.model.status import ClusterStatus


def snapshot(status: ClusterStatus) -> str:
    """Indented JSON with a final line end."""
    tree = msgspec.to_builtins(status)
    for group in tree["groups"]:
        for node in group["nodes"]:
            if node["failures"] is not None:
                node["failures"] = [code.name for code in codes_of(node["failures"])]
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
