"""The gateway's desk for configurations: operators' requests in, the committer and the peer behind it.

It belongs to the gateway's loop. What takes its time on the disk is a few kilobytes, written while an operator waits.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from jsrpd.configuration.candidate import MAX_TEXT_BYTES, EditFailed
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.lints import Facts, lints
from jsrpd.configuration.load import load
from jsrpd.management import children, engine_link
from jsrpd.management.commits import AUTOMATIC, FILE, Commit, CommitStore, digest, in_place_of
from jsrpd.management.peer_messages import Answered, Asked, Message
from jsrpd.management.requests import (
    CandidatePiece,
    CommitCandidate,
    CommitLine,
    ConfigurationRequest,
    ConfigurationTold,
    OpenConfiguration,
    PeerQuestion,
    ReadCommit,
    Reply,
    ShowCommits,
    SynchronizeConfiguration,
    TakeSurvey,
    WatchGateway,
)
from jsrpd.messages.catalogue import notice
from jsrpd.model.configuration import ClusterConfiguration
from jsrpd.model.details import Synchronization
from jsrpd.model.status import ClusterStatus
from jsrpd.model.survey import Survey, decode_survey
from jsrpd.processes.committer import CommitRefused, Committer, Surroundings, Wanted
from jsrpd.processes.host_facts import gather
from jsrpd.processes.peer_link import PeerAway, PeerLink
from jsrpd.processes.syslog import SyslogSender

RELOAD_TIMEOUT_S = 10.0
FACTS_TIMEOUT_S = 2.0
QUESTION_TIMEOUT_S, LOOK_TIMEOUT_S = 3.0, 18.0
"""A look of the peer at itself takes seconds."""


@dataclass(frozen=True, slots=True)
class Commits:
    """What the parent hands over: where the configuration is, and what the node needs to speak with its peer."""

    directory: Path
    identity: Identity | None
    key: bytes = field(repr=False)


@dataclass(eq=False)
class Session:
    """One operator's connection."""

    pieces: list[str] = field(default_factory=list)
    size: int = 0
    exclusive: bool = False


class Host(Protocol):
    """What the desk uses of the gateway."""

    engine: socket.socket
    parent: socket.socket
    syslog: SyslogSender

    def status(self) -> Awaitable[ClusterStatus | None]:
        """The engine's, None while it does not answer."""

    def own_firewall(self) -> Awaitable[Survey]:
        """This node's packet filter. OSError, msgspec.DecodeError."""

    def peer_asked(self, request: PeerQuestion, by: str) -> Awaitable[Reply]:
        """What this node answers to the other one's operator."""


class CommitDesk:
    """Answers what is about configurations."""

    def __init__(self, commits: Commits, state_directory: Path, configuration: ClusterConfiguration | None, host: Host) -> None:
        self.host = host
        self._clustered = configuration is not None
        around = Surroundings(self._apply, self._say, self._tell_engine, self._warnings)
        self.committer = Committer(commits.directory, CommitStore(state_directory), commits.identity, around)
        self._identity = commits.identity
        self._reload = 0
        self._waiting: dict[int, asyncio.Future[str]] = {}
        self._holder: Session | None = None
        self._tasks = list[asyncio.Task[None]]()
        self._link: PeerLink | None = None
        if configuration is not None and commits.key:
            self._link = PeerLink(configuration, commits.key, self._answer, self.committer.connection_changed)
            self.committer.ask = self._ask_peer
            self.committer.connected = lambda: self._link is not None and self._link.connected

    def start(self) -> None:
        """In the running loop."""
        self._tasks.append(asyncio.ensure_future(self.committer.run()))
        if self._link is not None:
            self._link.start()

    def reconfigure(self, configuration: ClusterConfiguration) -> None:
        """Control links may have come or gone."""
        if self._link is not None:
            self._link.configuration = configuration

    async def _ask_peer(self, message: Message, timeout_s: float) -> Message:
        if self._link is None:
            raise PeerAway("not clustered")
        return await self._link.ask(message, timeout_s)

    # -- questions from node to node --------------------------------------------------------------------------------------

    async def ask_peer(self, request: PeerQuestion, by: str) -> Reply:
        """What the other node answers, or why it does not."""
        peer = 1 - self._identity.node_id if self._identity is not None else None
        try:
            patience = LOOK_TIMEOUT_S if isinstance(request, (TakeSurvey, WatchGateway)) else QUESTION_TIMEOUT_S
            answer = await self._ask_peer(Asked(request, by), patience)
        except PeerAway as away:
            return Reply(False, f"error: node{peer} does not answer: {away}", peer)
        if not isinstance(answer, Answered):
            return Reply(False, f"error: node{peer} runs another version and does not understand the question", peer)
        return answer.reply

    async def _answer(self, message: Message) -> Message:
        if isinstance(message, Asked):
            return Answered(await self.host.peer_asked(message.request, message.by))
        return await self.committer.answer(message)

    # -- what the committer needs ---------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        self.host.syslog.send(notice(text))

    def _tell_engine(self, difference: str) -> None:
        with contextlib.suppress(OSError):
            if self._clustered:
                self.host.engine.send(engine_link.encode(engine_link.SynchronizationTold(difference)), socket.MSG_DONTWAIT)

    async def _apply(self) -> str:
        """The parent reads the file again and tells the children; what it says is wrong."""
        if not self._clustered:
            return ""
        self._reload += 1
        number = self._reload
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = done
        try:
            self.host.parent.send(children.encode(children.ReloadRequested(number)), socket.MSG_DONTWAIT)
            return await asyncio.wait_for(done, RELOAD_TIMEOUT_S)
        except OSError:  # TimeoutError is one.
            return "the daemon does not answer; look at: journalctl -u jsrpd"
        finally:
            del self._waiting[number]

    def reloaded(self, message: children.Reloaded) -> None:
        """The parent has."""
        waiting = self._waiting.get(message.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.problem)

    async def _warnings(self, text: str) -> list[str]:
        facts = Facts()
        with contextlib.suppress(OSError):
            facts = await asyncio.wait_for(gather(self.host.status, self._firewalls), FACTS_TIMEOUT_S)
        cluster = self._identity.cluster_id if self._identity is not None else 1
        pair = load(text, Identity(cluster, 0)), load(text, Identity(cluster, 1))
        own = self._identity.node_id if self._identity is not None else 0
        return [f"warning: {one.text}\n  mend it with: {one.mend}" for one in lints(pair, own, facts)]

    async def _firewalls(self) -> tuple[Survey, Survey] | None:
        """The packet filters of both nodes; None where either is not to be had."""
        if self._link is None or not self._link.connected:
            return None
        try:
            own, peer = await asyncio.gather(self.host.own_firewall(), self.ask_peer(TakeSurvey(only_firewall=True), "commit"))
            return own, decode_survey(peer.survey)
        except (OSError, msgspec.DecodeError):
            return None

    # -- operators ------------------------------------------------------------------------------------------------------

    async def reply(self, request: ConfigurationRequest, by: str, session: Session) -> Reply | None:
        """None: nothing is answered to this."""
        match request:
            case CandidatePiece(text):
                session.size += len(text)
                if session.size <= MAX_TEXT_BYTES:
                    session.pieces.append(text)
                return None
            case OpenConfiguration(exclusive):
                return self._open(exclusive, by, session)
            case CommitCandidate():
                return await self._commit(request, by, session)
            case ShowCommits():
                return Reply(True, commits=tuple(self._lines()))
            case ReadCommit(number):
                history = self.committer.store.history()
                if number >= len(history):
                    return Reply(False, f"error: there is no rollback {number}; the history has {len(history)} entries")
                return Reply(True, configuration=ConfigurationTold(history[number].text, digest(history[number].text)))
            case SynchronizeConfiguration():
                return await self._synchronize()

    def _open(self, exclusive: bool, by: str, session: Session) -> Reply:
        holder = self.committer.exclusive
        if holder and self._holder is not session and exclusive:
            return Reply(False, f"error: configuration database locked by:\n  {holder}")
        try:
            text = self.committer.text()
            remarks = list(self._remarks(by, session))
        except (EditFailed, OSError) as error:
            text, warning = in_place_of(self.committer.file.name, self.committer.store.head())
            remarks = [*f"{error}".splitlines(), warning]
        if exclusive:
            self.committer.exclusive, self._holder, session.exclusive = by, session, True
            remarks.append("warning: uncommitted changes will be discarded on exit")
        return Reply(True, configuration=ConfigurationTold(text, digest(text), tuple(remarks)))

    def _remarks(self, by: str, session: Session) -> list[str]:
        committer, found = self.committer, list[str]()
        if committer.exclusive and self._holder is not session:
            found.append(f"warning: {committer.exclusive} holds the configuration exclusively; {by} cannot commit meanwhile")
        if committer.edited:
            found.append(f"warning: {committer.file.name} was changed outside of a commit; the change is part of this candidate")
        remaining = committer.remaining_s()
        if remaining is not None:
            found.append(f"warning: the last commit is rolled back in {max(0, round(remaining / 60))} minutes unless confirmed")
        return found

    async def _commit(self, request: CommitCandidate, by: str, session: Session) -> Reply:
        too_long = session.size > MAX_TEXT_BYTES
        text, session.pieces, session.size = "".join(session.pieces), [], 0
        if too_long:
            return Reply(False, f"error: more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)")
        committer = self.committer
        if committer.exclusive and self._holder is not session and not request.check:
            return Reply(False, f"error: configuration database locked by:\n  {committer.exclusive}")
        wanted = Wanted(text, request.base, by, request.comment, request.confirm_minutes, request.check)
        try:
            shown = await committer.commit(wanted)
        except CommitRefused as refused:
            return Reply(False, str(refused))
        now = committer.text() if not request.check else ""
        return Reply(True, shown, configuration=ConfigurationTold(now, digest(now)) if now else None)

    def _lines(self) -> list[CommitLine]:
        history = self.committer.store.history()
        lineage = self.committer.store.lineage()
        return [
            CommitLine(n, one.sequence, one.time, one.author, one.client, one.node, one.comment, _note(one, n, lineage))
            for n, one in enumerate(history)
        ]

    async def _synchronize(self) -> Reply:
        try:
            difference = await self.committer.take_over()
        except CommitRefused as refused:
            return Reply(False, str(refused))
        return Reply(not difference, f"error: not synchronized: {difference}" if difference else "configuration synchronized\n")

    def synchronization(self) -> Synchronization:
        """How the configuration of this node stands beside the peer's."""
        link, head = self._link, self.committer.store.head()
        newest = f"commit {head.sequence} by {head.author} on node{head.node}" if head is not None else ""
        problem = "" if link is None or link.connected else link.problem or "no connection yet"
        return Synchronization(link is not None and link.connected, problem, self.committer.difference(), newest)

    def leave(self, session: Session) -> None:
        """The connection has ended: no lock is left behind."""
        if self._holder is session:
            self._holder, self.committer.exclusive = None, ""


def _note(commit: Commit, number: int, lineage: set[str]) -> str:
    if commit.kind == FILE:
        return "from the file"
    if commit.id not in lineage:
        return "made beside another, not in force"
    if commit.kind == AUTOMATIC:
        return "automatic rollback"
    if commit.confirm_minutes:
        return f"confirm within {commit.confirm_minutes} minutes" if number == 0 else "confirmed"
    return ""
