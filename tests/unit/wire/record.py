"""Records a conversation of two nodes as the reference of a wire version: ``python -m tests.unit.wire.record``.

Done once for each version, by the release that introduces it, and never again: ``test_recorded`` holds every later release to it.
A line is one datagram: who is to receive it, by which path, its bytes, and what it means.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from jsrpd.model.link_messages import Acknowledgement, PeerRequest, RequestKind
from jsrpd.model.roles import FailureCode, GroupState, RedundancyMode
from jsrpd.wire.link import VERSIONS, AcknowledgementHeard, Admitted, Answer, Dropped, HeartbeatHeard, Link, Received
from tests.unit.wire.nodes import heartbeat, make_link, report

DIRECTORY = Path(__file__).parent / "recorded"
LIVES = ("recorded node0", "recorded node1")


def meaning(received: Received) -> dict[str, Any]:
    """What was received, as JSON has it; an answer's bytes are its sender's own business."""
    match received:
        case HeartbeatHeard(incarnation, sequence, value):
            return {"heartbeat": sequence, "incarnation": incarnation, "says": msgspec.to_builtins(value)}
        case AcknowledgementHeard(incarnation, value):
            return {"acknowledgement": msgspec.to_builtins(value), "incarnation": incarnation}
        case Admitted(incarnation):
            return {"admitted": incarnation}
        case Answer():
            return {"answered": True}
        case Dropped(cause):
            return {"dropped": cause.value}


class Conversation:
    """Two nodes; every datagram that arrives is noted."""

    def __init__(self) -> None:
        self.links: tuple[Link, Link] = (make_link(0, LIVES[0], versions=VERSIONS), make_link(1, LIVES[1], versions=VERSIONS))
        self.lines: list[dict[str, Any]] = []

    def arrive(self, node: int, path: int, datagram: bytes) -> None:
        """And what is answered arrives at the other."""
        received = self.links[node].receive(path, datagram)
        self.lines.append({"to": node, "path": path, "datagram": datagram.hex(), "means": meaning(received)})
        if isinstance(received, Answer):
            self.arrive(1 - node, path, received.datagram)

    def run(self) -> None:
        """They meet, and say everything there is to say."""
        zero, one = self.links
        self.arrive(1, 0, zero.heartbeat(0, 1, heartbeat()))
        self.arrive(0, 0, one.heartbeat(0, 1, heartbeat(groups=())))
        failures = 1 << FailureCode.IF | 1 << FailureCode.SV
        groups = tuple(
            report(number, state=state, configured_priority=100 + number, effective_priority=priority, weight=weight, manual=manual,
                   failures=failures if weight < 255 else 0, gate_open=gate, generation=0xFFFFF0 + number)
            for number, (state, priority, weight, manual, gate) in enumerate([
                (GroupState.HOLD, 0, 255, False, False), (GroupState.SECONDARY, 101, 255, False, False),
                (GroupState.PRIMARY, 255, 255, True, True), (GroupState.SECONDARY_HOLD, 103, 155, False, True),
                (GroupState.INELIGIBLE, 0, -655, False, False), (GroupState.DISABLED, 0, 0, False, False),
            ])
        )  # fmt: skip
        wishes = tuple(PeerRequest(n, kind, n, n % 2) for n, kind in enumerate(RequestKind, 1))
        rich = heartbeat(
            mode=RedundancyMode.ACTIVE_BACKUP, interval_ms=5, threshold=20, software_version="9.9.9", paths_heard=0xFFFF,
            interfaces_up=1 << 200 | 5, groups=(*groups, report(128)), requests=wishes,
        )  # fmt: skip
        for path in (0, 3, 4, 8, 15):
            self.arrive(1, path, zero.heartbeat(path, 2, rich))
            self.arrive(0, path, one.acknowledgement(path, Acknowledgement(zero.incarnation, 2, 1 << 128 | 1, path == 4)))
        self.arrive(1, 0, zero.heartbeat(0, 3, heartbeat(stopped=True)))


def main() -> None:
    """Refuses to write what is there."""
    path = DIRECTORY / f"version-{VERSIONS[1]}.jsonl"
    if path.exists():
        raise SystemExit(f"{path} is the reference of its version and is not written again")
    conversation = Conversation()
    conversation.run()
    path.write_text("".join(json.dumps(line) + "\n" for line in conversation.lines))


if __name__ == "__main__":
    main()
