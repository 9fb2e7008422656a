"""The rival's configuration, as its manual and its examples advise it: VRRP version 3 for both families on both segments in
one sync group, heartbeats in the segments, sessions over a link of their own. Pure texts.

Its sync group has no MAC address of its own: with ``use_vmac`` the gaps were the same (reference measurements).
"""

from pathlib import Path

from jsrpd.lab.topology import BY_SEGMENT, NODES, Segment

PRIORITIES = (150, 100)
ROUTER_ID = 51
LINK, LINK_ADDRESSES = "ctl0", ("10.254.0.1", "10.254.0.2")
TRACK_LOSS = 100
"""Taken from the priority by the operator who wants the other node to take over."""
TRACKING = "table inet sessions { chain forward { type filter hook forward priority 0; ct state established,related accept; }; }\n"
"""The kernel keeps sessions only where a rule asks for their state."""


def own_addresses(number: int, segment: Segment) -> tuple[str, str]:
    """A router's own addresses beside the shared ones, IPv4 and IPv6, with prefix."""
    return (
        f"{segment.gateways[0].rpartition('.')[0]}.{2 + number}/24",
        f"{segment.gateways[1].rpartition(':')[0]}:{2 + number}/64",
    )


def keepalived_conf(number: int, interval_ms: int, directory: Path) -> str:
    """``keepalived.conf`` of a node. ``directory`` holds its notify script and the file of the planned switch-over."""
    members = [f"{name}{family}" for name in BY_SEGMENT for family in (4, 6)]
    instances = "".join(_instance(number, segment, family, interval_ms) for segment in BY_SEGMENT.values() for family in (4, 6))
    notify = "".join(
        f'    notify_{state} "{directory}/notify {word}"\n'
        for state, word in (("master", "primary"), ("backup", "backup"), ("fault", "fault"))
    )
    return f"""global_defs {{
    router_id {NODES[number]}
    script_user root
    enable_script_security
    vrrp_version 3
}}
track_file planned {{
    file {directory}/planned
    weight 1
    init_file 0
}}
vrrp_sync_group gateway {{
    group {{
        {" ".join(members)}
    }}
    track_file {{
        planned
    }}
{notify}}}
{instances}"""


def _instance(number: int, segment: Segment, family: int, interval_ms: int) -> str:
    addresses = [f"{segment.gateways[0]}/24"] if family == 4 else ["fe80::1:1/64", f"{segment.gateways[1]}/64"]
    lines = "\n".join(f"        {address} dev {segment.name}" for address in addresses)
    return f"""vrrp_instance {segment.name}{family} {{
    state {"MASTER" if number == 0 else "BACKUP"}
    interface {segment.name}
    virtual_router_id {ROUTER_ID}
    priority {PRIORITIES[number]}
    advert_int {interval_ms / 1000:g}
    virtual_ipaddress {{
{lines}
    }}
}}
"""


def conntrackd_conf(number: int, directory: Path, *, direct: bool = False) -> str:
    """``conntrackd.conf`` of a node: reliable mode over the link between the nodes, the example's values otherwise.

    ``direct``: no cache on the receiving side, what comes goes into the kernel. The limit is above what any row needs.
    """
    ignored = [address for segment in BY_SEGMENT.values() for address in segment.gateways]
    lines = "\n".join(
        f"            {'IPv6_address' if ':' in address else 'IPv4_address'} {address}" for address in (*ignored, *LINK_ADDRESSES)
    )
    return f"""Sync {{
    Mode FTFW {{
        DisableExternalCache {"On" if direct else "Off"}
    }}
    UDP {{
        IPv4_address {LINK_ADDRESSES[number]}
        IPv4_Destination_Address {LINK_ADDRESSES[1 - number]}
        Port 3780
        Interface {LINK}
        SndSocketBuffer 1249280
        RcvSocketBuffer 1249280
        Checksum on
    }}
}}
General {{
    HashSize 32768
    HashLimit 4194304
    LogFile {directory}/conntrackd.log
    LockFile {directory}/conntrackd.lock
    UNIX {{
        Path {directory}/conntrackd.ctl
    }}
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
    Filter From Userspace {{
        Protocol Accept {{
            TCP
            UDP
        }}
        Address Ignore {{
{lines}
        }}
    }}
}}
"""


def notify_script(directory: Path) -> str:
    """What the manual has done at a change of state: commit, flush, resynchronise, send all; or ask for all."""
    return f"""#!/bin/sh
ask() {{ /usr/sbin/conntrackd -C {directory}/conntrackd.conf "$1"; }}
case "$1" in
    primary) ask -c; ask -f; ask -R; ask -B ;;
    backup) ask -t; ask -n ;;
    fault) ask -t ;;
esac
echo "$1" >> {directory}/states
"""
