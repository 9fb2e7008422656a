"""Turns the journal's records into what operators read: transitions, monitors, paths, commands, commits, restarts, gaps.

It decides nothing and never asks a core. What it cannot know yet (after a gap, before the first checkpoint) it does not
tell, so a path that was up all along does not come up in the list of events.
"""

from dataclasses import dataclass, field

from jsrpd.core import checkpoint
from jsrpd.core.checkpoint import CheckpointError
from jsrpd.core.events import (
    AcknowledgementReceived,
    ConfigurationChanged,
    Event,
    HeartbeatReceived,
    MonitorFailed,
    MonitorRecovered,
    ShutdownRequested,
    WatchedInterfacesChanged,
)
from jsrpd.core.journal import Batch, CheckpointTaken, Commanded, JournalError, LifeStarted, TurnEnded, unpack
from jsrpd.core.words import configuration_changes, monitors_of, path_name, request_text
from jsrpd.messages.catalogue import LogMessage
from jsrpd.messages.rendering import render_text
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.journal import EventKind, JournalEvent
from jsrpd.model.link_messages import FIRST_FABRIC_PATH, Heartbeat, Incarnation, PathId
from jsrpd.model.time import Duration, Instant, seconds

TOLD_OTHERWISE = {
    "JSRPD_SET_INTF_MON_FAILURE",
    "JSRPD_UNSET_INTF_MON_FAILURE",
    "JSRPD_SET_OTHER_INTF_MON_FAIL",
    "JSRPD_UNSET_OTHER_INTF_MON_FAIL",
}
"""Log messages whose cause is an event of its own, with more in it."""


@dataclass
class _Known:
    """What is known of the node and its peer. ``interfaces`` None: not told yet."""

    configuration: ClusterConfiguration
    interfaces: int | None = None
    peer: Heartbeat | None = None
    peer_incarnation: Incarnation | None = None
    peer_sequence: int = 0
    requests: int = 0
    heard: dict[PathId, Instant] = field(default_factory=dict)
    up: set[PathId] = field(default_factory=set)
    stopping: bool = False


class Narrator:
    """One per journal; batches in the order they were closed."""

    def __init__(self) -> None:
        self.known: _Known | None = None
        self._incarnation: Incarnation | None = None
        self._next = 0
        self._events: list[JournalEvent] = []
        self._wall_offset: Duration = 0

    def tell(self, batch: Batch) -> tuple[JournalEvent, ...]:
        """What happened in a batch."""
        self._events = []
        self._wall_offset = batch.wall_offset
        self._continue(batch)
        try:
            for now, record, event in unpack(batch):
                match record:
                    case LifeStarted():
                        self._life_started(now, record)
                    case CheckpointTaken(_, state):
                        self._checkpoint(state)
                    case Commanded(_, by, command, ok, answer):
                        values: dict[str, int | str] = {"command": command, "outcome": "done" if ok else "refused"}
                        self._say(now, EventKind.COMMAND, f"{command}: {answer}", _groups_named(command), by=by, values=values)
                    case TurnEnded(messages=messages):
                        self._turn_ended(now, messages)
                    case _ if event is not None and self.known is not None:
                        self._told(now, self.known, event)
        except JournalError as error:
            self._say(batch.began, EventKind.GAP, f"a part of the journal is not readable: {error}")
        return tuple(self._events)

    def _say(
        self,
        now: Instant,
        kind: EventKind,
        text: str,
        groups: tuple[int, ...] = (),
        *,
        reason: str = "",
        by: str = "",
        node: int | None = None,
        values: dict[str, int | str] | None = None,
    ) -> None:
        if node is None:
            node = self.known.configuration.node_id if self.known else 0
        self._events.append(JournalEvent(now + self._wall_offset, node, kind, text, groups, reason, by, values or {}))

    def _continue(self, batch: Batch) -> None:
        """Numbers that do not follow each other are a gap; a life that is not the last one's is new."""
        same = batch.incarnation == self._incarnation
        expected = self._next if same else 0
        if batch.first > expected and (same or self._incarnation is not None):
            lost = batch.first - expected
            text = f"{lost} records of the journal were lost; replay goes on at the next checkpoint"
            self._say(batch.began, EventKind.GAP, text, values={"records": lost})
        if not same or batch.first != expected:
            self.known = None
        self._incarnation, self._next = batch.incarnation, batch.end

    def _life_started(self, now: Instant, record: LifeStarted) -> None:
        self.known = _Known(record.configuration)
        adopted = tuple(lease.group for lease in record.adopted)
        groups = ", ".join(map(str, adopted))
        how = f"re-adopted the running lease of redundancy group {groups}" if adopted else "every group begins in hold"
        text = f"engine of jsrpd {record.software_version} started: {how}"
        self._say(now, EventKind.RESTART, text, adopted, values={"version": record.software_version})

    def _checkpoint(self, state: bytes) -> None:
        if self.known is not None:
            return
        try:
            cluster = checkpoint.decode(state)
        except CheckpointError as error:
            raise JournalError(f"checkpoint: {error}") from error
        peer = cluster.peer
        self.known = _Known(
            configuration=cluster.configuration,
            interfaces=cluster.interfaces_up if cluster.interfaces_known else None,
            peer=peer.heartbeat,
            peer_incarnation=peer.incarnation,
            peer_sequence=peer.newest_sequence,
            requests=max((request.id for request in peer.heartbeat.requests), default=0) if peer.heartbeat else 0,
            heard=dict(peer.heard_on),
            up={path for path in peer.heard_on if cluster.path_up(cluster.judged, path)},
            stopping=cluster.stopping_since is not None,
        )

    # -- what the core was told -------------------------------------------------------------------------------------

    def _told(self, now: Instant, known: _Known, event: Event) -> None:
        match event:
            case HeartbeatReceived(path, incarnation, sequence, received_at, heartbeat):
                self._heard(now, known, path, received_at)
                if incarnation != known.peer_incarnation or sequence > known.peer_sequence:
                    known.peer_sequence = sequence
                    self._peer_says(now, known, incarnation, heartbeat)
            case AcknowledgementReceived(path, _, received_at, _):
                self._heard(now, known, path, received_at)
            case WatchedInterfacesChanged(up):
                self._interfaces(now, known, up)
            case MonitorFailed(group, code, name, weight, value, limit):
                values: dict[str, int | str] = {"monitor": code.name, "object": name, "weight": weight, **_told(value, limit)}
                text = ", ".join([*_found(value, limit), f"weight {weight}"])
                self._say(now, EventKind.MONITOR, f"{code.name} {name} failed: {text}", (group,), values=values)
            case MonitorRecovered(group, code, name, value, limit):
                recovered: dict[str, int | str] = {"monitor": code.name, "object": name, **_told(value, limit)}
                text = ", ".join([f"{code.name} {name} recovered", *_found(value, limit)])
                self._say(now, EventKind.MONITOR, text, (group,), values=recovered)
            case ConfigurationChanged(configuration):
                changes = configuration_changes(known.configuration, configuration)
                text = "configuration loaded: " + ("; ".join(changes) or "nothing that the engine runs on differs")
                self._say(now, EventKind.CONFIGURATION, text, values={"digest": configuration.digest.hex()})
                known.interfaces = None
                known.configuration = configuration
            case ShutdownRequested() if not known.stopping:
                known.stopping = True
                self._say(now, EventKind.RESTART, "the daemon was told to stop: it hands over what is primary")

    def _heard(self, now: Instant, known: _Known, path: PathId, at: Instant) -> None:
        before, known.heard[path] = known.heard.get(path), at
        if path < FIRST_FABRIC_PATH or path in known.up:
            return
        known.up.add(path)
        silent = f" after {seconds(at - before)} of silence" if before is not None else ""
        self._say(now, EventKind.PATH, f"{path_name(known.configuration, path)} up: heard{silent}", values={"path": path})

    def _peer_says(self, now: Instant, known: _Known, incarnation: Incarnation, heartbeat: Heartbeat) -> None:
        peer = known.configuration.peer_id
        if known.peer_incarnation not in (None, incarnation):
            self._say(now, EventKind.RESTART, f"node{peer} is heard with a new engine", node=peer)
            known.requests = 0
        known.peer_incarnation = incarnation
        before, known.peer = known.peer, heartbeat
        if heartbeat.stopped and not (before and before.stopped):
            self._say(now, EventKind.RESTART, f"node{peer} says that its daemon has stopped", node=peer)
        for request in heartbeat.requests:
            if request.id > known.requests:
                known.requests = request.id
                self._say(now, EventKind.COMMAND, request_text(request), (request.group,), by=f"operator on node{peer}", node=peer)
        if before is not None and before.interfaces_up == heartbeat.interfaces_up:
            return
        if heartbeat.configuration_digest == known.configuration.digest:
            names = known.configuration.peer_watched_interfaces
            self._changed(now, peer, names, before.interfaces_up if before else None, heartbeat.interfaces_up)

    def _interfaces(self, now: Instant, known: _Known, up: int) -> None:
        before, known.interfaces = known.interfaces, up
        self._changed(now, known.configuration.node_id, known.configuration.watched_interfaces, before, up)

    def _changed(self, now: Instant, node: int, names: tuple[str, ...], before: int | None, up: int) -> None:
        """Interfaces of a node. Of what was never told before, only what is down is worth a word."""
        assert self.known is not None
        was = (1 << len(names)) - 1 if before is None else before
        for bit, name in enumerate(names):
            is_up = bool(up >> bit & 1)
            if is_up == bool(was >> bit & 1):
                continue
            weights = monitors_of(self.known.configuration, node, name)
            costs = ", ".join(f"weight {weight} of redundancy group {group}" for group, weight in weights.items())
            text = f"interface {name} {'up' if is_up else 'down'}: {costs or 'not monitored'}"
            values: dict[str, int | str] = {"interface": name, "state": "up" if is_up else "down"}
            self._say(now, EventKind.MONITOR, text, tuple(weights), node=node, values=values)

    # -- what the core answered -------------------------------------------------------------------------------------

    def _turn_ended(self, now: Instant, messages: tuple[LogMessage, ...]) -> None:
        for message in messages:
            self._message(now, message)
        if self.known is None:
            return
        dead = self.known.configuration.timing.dead
        for path in sorted(self.known.up):
            silent = now - self.known.heard[path]
            if path >= FIRST_FABRIC_PATH and silent >= dead:
                self.known.up.discard(path)
                text = f"{path_name(self.known.configuration, path)} down: silent for {seconds(silent)}"
                self._say(now, EventKind.PATH, text, values={"path": path})

    def _message(self, now: Instant, message: LogMessage) -> None:
        said = dict(message.values + message.extra)
        match message.tag:
            case "JSRPD_RG_STATE_CHANGE":
                old, new, reason = said["old-state"], said["new-state"], said["reason"]
                groups = (int(said["rg-id"]),)
                values: dict[str, int | str] = {"old-state": old, "new-state": new}
                self._say(now, EventKind.TRANSITION, f"{old} -> {new}: {reason}", groups, reason=reason, values=values)
            case "JSRPD_HA_CONTROL_LINK_UP" | "JSRPD_HA_CONTROL_LINK_DOWN":
                up = message.tag.endswith("UP")
                text = f"control link {said['link']} {'up: heard' if up else 'down: ' + said['cause']}"
                self._say(now, EventKind.PATH, text, reason=said.get("cause", ""), values={"link": said["link"]})
            case tag if tag not in TOLD_OTHERWISE:
                self._say(now, EventKind.MESSAGE, f"{tag}: {render_text(message)}")


def _told(value: str, limit: str) -> dict[str, str]:
    """What a monitor found and what that was held against, as far as it said so (SPEC section 9)."""
    return {name: said for name, said in (("value", value), ("limit", limit)) if said}


def _found(value: str, limit: str) -> list[str]:
    return [said if name == "value" else f"{name} {said}" for name, said in _told(value, limit).items()]


def _groups_named(command: str) -> tuple[int, ...]:
    words = command.split()
    return tuple(int(words[n + 1]) for n, word in enumerate(words) if word == "redundancy-group")
