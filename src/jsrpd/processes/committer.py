"""Commits of one node: checked on both nodes, in force on both or on neither, and never lost.

The node that the operator speaks to leads. It asks the peer to prepare, then writes the commit into its history, which is
the decision, and tells the peer. A peer that did not hear the decision finds the commit in the leader's history when the
two speak again; one that has prepared and never hears of it has promised nothing for ever. The same exchange of histories
serves a peer that was away, a node that was replaced, and two nodes that both committed alone: which commit is in force
is decided by rank (``management.commits``), the same on both, and the others stay in the history.

A confirmed commit is taken back by each node for itself, at the same moment and with the same words, so that neither the
operator's connection nor the other node is needed for it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jsrpd.configuration import files
from jsrpd.configuration.candidate import EditFailed, read
from jsrpd.configuration.identity import Identity
from jsrpd.configuration.load import load
from jsrpd.configuration.merge import merged
from jsrpd.configuration.plan import impact
from jsrpd.configuration.problems import ConfigurationError
from jsrpd.configuration.render import text_of
from jsrpd.management.commits import AUTOMATIC, FILE, KEPT, Applied, Commit, CommitStore, Deadline, digest, write_whole
from jsrpd.management.peer_messages import (
    Decide,
    Decided,
    HistoryAsked,
    HistoryGiven,
    HistoryTold,
    Message,
    Ping,
    Prepare,
    Prepared,
    SynchronizationWanted,
)
from jsrpd.processes.peer_link import PeerAway

LOOK_S = 1.0
PREPARE_TIMEOUT_S = 8.0
COMMITS_PER_MESSAGE = 8
MINUTE_S = 60
DAEMON = "jsrpd"
NOTHING_COMMITTED = "error: nothing has been committed yet; on the node whose configuration is right: jsrp configure, then commit"

Apply = Callable[[], Awaitable[str]]
Ask = Callable[[Message, float], Awaitable[Message]]


class CommitRefused(Exception):
    """Nothing was done. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants to commit. ``base``: digest of the text that the candidate began with."""

    text: str
    base: str
    author: str
    comment: str = ""
    confirm_minutes: int = 0
    check: bool = False
    client: str = "cli"


@dataclass
class Surroundings:
    """What a committer needs of the process it lives in. ``peer``: None while there is no connection."""

    apply: Apply
    say: Callable[[str], None]
    told_peer: Callable[[str], None]
    """Told on a change: why this node's configuration is not the peer's; empty when it is."""
    warnings: Callable[[str], Awaitable[list[str]]]
    """Of a text that is to be committed: what deserves a second thought."""
    wall_clock: Callable[[], float] = time.time
    boot_clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    boot_id: Callable[[], str] = lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Committer:
    """One node's commits. ``ask``: the peer; None where the node is not clustered."""

    def __init__(self, directory: Path, store: CommitStore, identity: Identity | None, around: Surroundings) -> None:
        self.directory, self.store, self.around = directory, store, around
        self.identity = identity or Identity(1, 0)
        self.ask: Ask | None = None
        self.connected: Callable[[], bool] = lambda: False
        self.busy = ""
        """Who commits here at this moment."""
        self.decided = False
        """That commit is beyond recall."""
        self.promised: Prepare | None = None
        """What the peer has asked this node to be ready for."""
        self.exclusive = ""
        """Who holds the configuration for himself."""
        self.peer_head: str | None = None
        self.peer_edited = False
        self.failed = ""
        """Why the commit in force is not what runs."""
        self._told: str | None = None
        self._synchronizing = asyncio.Lock()
        self._tasks = set[asyncio.Task[None]]()

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def me(self) -> str:
        """This node, in the operator's words."""
        return f"node{self.identity.node_id}"

    @property
    def peer(self) -> str:
        """The other."""
        return f"node{1 - self.identity.node_id}"

    @property
    def file(self) -> Path:
        """The configuration file in use, whichever its format."""
        return files.in_use(self.directory)

    def text(self) -> str:
        """What the file says, in the native form. EditFailed for what cannot be edited, OSError."""
        head = self.store.head()
        raw = self._raw()
        if head is not None and raw is not None and not self._is_edited(raw, head) and digest(raw) == self.store.applied().now:
            return head.text
        return text_of(files.read_tree(raw or "", self.file.name))

    def _raw(self) -> str | None:
        try:
            return files.text_at(self.file)
        except FileNotFoundError:
            return None

    def _is_edited(self, raw: str, head: Commit) -> bool:
        """Somebody else than this program wrote the file since the last commit."""
        applied = self.store.applied()
        return bool(applied.now) and digest(raw) not in (applied.now, applied.before) and self._as_file(head.text) != raw

    def _as_file(self, text: str) -> str:
        return files.written(text, self.file.name)

    @property
    def edited(self) -> bool:
        """Whether the file holds something that no commit has."""
        head, raw = self.store.head(), self._raw()
        return head is not None and raw is not None and self._is_edited(raw, head)

    def difference(self) -> str:
        """Why this node's configuration may not be the peer's; empty when it is."""
        head = self.store.head()
        if self.failed:
            return self.failed
        if self.edited:
            return f"{self.file.name} was changed outside of a commit"
        if head is None or self.peer_head is None:
            return ""
        if self.peer_edited:
            return f"the file of {self.peer} was changed outside of a commit"
        if self.peer_head != head.id:
            return f"{self.peer} does not have the newest commit" if self.store.find(self.peer_head) else "the histories differ"
        return ""

    def tell(self) -> None:
        """Say it where it has changed. Between the decision on a commit and the other node's word there is nothing to be said."""
        if self.decided:
            return
        difference = self.difference()
        if difference != self._told:
            if difference:
                self.around.say(f"configuration not synchronized: {difference}")
            elif self._told:
                self.around.say("configuration synchronized")
            self._told = difference
        self.around.told_peer(difference)

    # -- an operator's commit -----------------------------------------------------------------------------------------

    async def commit(self, wanted: Wanted) -> str:
        """What is printed. CommitRefused: then nothing was done anywhere."""
        if self.busy:
            raise CommitRefused(f"error: {self.busy} is committing at this moment; try again")
        if self.promised is not None:
            raise CommitRefused(f"error: {self.promised.author} is committing on {self.peer} at this moment; try again")
        self.busy, self.decided = wanted.author, False
        try:
            return await self._commit(wanted)
        finally:
            self.busy, self.decided = "", False
            self.tell()

    async def _commit(self, wanted: Wanted) -> str:
        with contextlib.suppress(PeerAway):
            await self._exchange()
        text = self._rebased(wanted)
        self._check(text)
        current = self._current()
        head = self.store.head()
        shown = self._impact(current, text) + await self.around.warnings(text)
        if not wanted.check and text == current and head is not None and not head.confirm_minutes and not self.edited:
            return "".join(f"{line}\n" for line in [*shown, "no change: nothing was committed"])
        fresh = self._prepare_file(text, "own")
        try:
            prepared = await self._prepare_peer(text, wanted.author)
            if wanted.check:
                return "".join(f"{line}\n" for line in shown) + await self._checked(prepared)
            return "".join(f"{line}\n" for line in shown) + await self._decide(wanted, text, prepared, fresh)
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)

    def _rebased(self, wanted: Wanted) -> str:
        """The candidate upon what is there now, which may be another commit than the one it began with."""
        try:
            mine = read(wanted.text, "candidate")
            current = self._current()
            if digest(current) == wanted.base or not wanted.base:
                return text_of(mine)
            base = next((commit.text for commit in self.store.history() if digest(commit.text) == wanted.base), None)
            if base is None:
                raise CommitRefused("error: the configuration has changed since; take it up with: update")
            tree, conflicts = merged(read(base), mine, read(current))
        except EditFailed as error:
            raise CommitRefused(str(error)) from error
        if conflicts:
            head = self.store.head()
            who = head.author if head is not None else "somebody"
            listed = "".join(f"\n  {' '.join(path)}" for path in conflicts)
            raise CommitRefused(
                f"error: {who} has committed another change of the same statements:{listed}\n"
                "see what is in force with: show | compare rollback 0; take it up with: update"
            )
        return text_of(tree)

    def _current(self) -> str:
        try:
            return self.text()
        except (EditFailed, OSError):
            head = self.store.head()
            return head.text if head is not None else ""

    def _check(self, text: str) -> None:
        try:
            load(text, self.identity, "candidate")
        except ConfigurationError as error:
            raise CommitRefused(f"{error}\nerror: configuration check-out failed") from error

    def _impact(self, current: str, text: str) -> list[str]:
        try:
            old = [load(current, Identity(self.identity.cluster_id, node)) for node in (0, 1)]
        except ConfigurationError:
            return []
        new = [load(text, Identity(self.identity.cluster_id, node)) for node in (0, 1)]
        return impact((old[0], old[1]), (new[0], new[1]))

    def _prepare_file(self, text: str, whose: str) -> Path:
        """The file as it will be, beside the old one, so that the disk cannot be too full later."""
        fresh = self.file.with_name(f".{self.file.name}.{whose}")
        try:
            write_whole(fresh, self._as_file(text).encode(), _mode(self.file))
        except OSError as error:
            raise CommitRefused(f"error: {fresh}: {error.strerror}; nothing was committed") from error
        return fresh

    async def _prepare_peer(self, text: str, author: str) -> Prepared | PeerAway | None:
        """What the peer says; that it is away; None where there is no peer. CommitRefused when it will not."""
        if self.ask is None:
            return None
        try:
            prepared = await self.ask(Prepare(text, author), PREPARE_TIMEOUT_S)
        except PeerAway as away:
            return away
        assert isinstance(prepared, Prepared)
        if prepared.problem:
            raise CommitRefused(
                f"{self.peer}:\n{prepared.problem}\nerror: {self.peer} refuses; nothing was committed on either node"
            )
        return prepared

    async def _checked(self, prepared: Prepared | PeerAway | None) -> str:
        if isinstance(prepared, Prepared):
            assert self.ask is not None
            with contextlib.suppress(PeerAway):
                await self.ask(Decide(None), PREPARE_TIMEOUT_S)
            return f"{self.me}:\nconfiguration check succeeds\n{self.peer}:\nconfiguration check succeeds\n"
        if isinstance(prepared, PeerAway):
            return f"{self.me}:\nconfiguration check succeeds\n{self.peer}:\nwarning: not checked: {prepared}\n"
        return "configuration check succeeds\n"

    async def _decide(self, wanted: Wanted, text: str, prepared: Prepared | PeerAway | None, fresh: Path) -> str:
        before = self._adopted()
        head = before[-1] if before else self.store.head()
        highest = max(prepared.sequence if isinstance(prepared, Prepared) else 0, head.sequence if head else 0)
        commit = Commit(
            sequence=highest + 1,
            node=self.identity.node_id,
            time=round(self.around.wall_clock(), 3),
            author=wanted.author,
            comment=wanted.comment,
            text=text,
            parent=head.id if head else "",
            confirm_minutes=wanted.confirm_minutes,
            client=wanted.client,
        )
        self.decided = True
        try:
            self.store.add([*before, commit])
        except OSError as error:
            if isinstance(prepared, Prepared) and self.ask is not None:
                with contextlib.suppress(PeerAway):
                    await self.ask(Decide(None), PREPARE_TIMEOUT_S)
            raise CommitRefused(f"error: {self.store.directory}: {error.strerror}; nothing was committed") from error
        problem = await self._put_in_force(commit, fresh)
        lines = [f"error: {problem}" if problem else "commit complete"]
        if commit.confirm_minutes:
            lines.append(f"commit confirmed will be automatically rolled back in {commit.confirm_minutes} minutes unless confirmed")
        if prepared is None:
            return "".join(f"{line}\n" for line in lines)
        there = await self._tell_decision(commit, prepared)
        return "".join(f"{line}\n" for line in [f"{self.peer}:", *there, f"{self.me}:", *lines])

    async def _tell_decision(self, commit: Commit, prepared: Prepared | PeerAway) -> list[str]:
        later = f"warning: it takes over commit {commit.sequence} when it speaks with {self.me} again"
        if isinstance(prepared, PeerAway):
            return [f"warning: not reached: {prepared}", later]
        assert self.ask is not None
        try:
            decided = await self.ask(Decide(commit), PREPARE_TIMEOUT_S)
        except PeerAway as away:
            return [f"warning: no confirmation: {away}", later]
        assert isinstance(decided, Decided)
        if not decided.problem:
            self.peer_head, self.peer_edited = commit.id, False
        return [f"error: {decided.problem}" if decided.problem else "commit complete"]

    def _adopted(self) -> list[Commit]:
        """What stands in the file and in no commit, as a commit of its own, so that a rollback finds it."""
        head, raw = self.store.head(), self._raw()
        if raw is None or (head is not None and not self._is_edited(raw, head)):
            return []
        text = self._native(raw)
        if self._known(text):
            return []
        if head is None:
            # The same on both nodes, where both were given the same file.
            return [Commit(1, 0, 0.0, "file", "before the first commit", text, "", FILE)]
        when = round(self.file.stat().st_mtime, 3)
        comment = f"found in {self.file.name} of {self.me}"
        return [Commit(head.sequence + 1, self.identity.node_id, when, "file", comment, text, head.id, FILE)]

    def _known(self, text: str) -> bool:
        return any(commit.text == text for commit in self.store.history())

    def _native(self, raw: str) -> str:
        try:
            return text_of(files.read_tree(raw, self.file.name))
        except EditFailed:
            return raw

    async def _put_in_force(self, commit: Commit, fresh: Path) -> str:
        """The file, then the daemon. What went wrong, for the operator; the commit stands."""
        written = self._as_file(commit.text)
        raw = self._raw()
        try:
            self.store.set_applied(Applied(digest(written), digest(raw) if raw is not None else ""))
            fresh.replace(self.file)
            if commit.confirm_minutes:
                self._set_deadline(commit)
        except OSError as error:
            self.failed = f"commit {commit.sequence} is recorded and not in force: {error.filename}: {error.strerror}"
            return self.failed
        problem = await self.around.apply()
        self.failed = f"commit {commit.sequence} is recorded and not in force: {problem}" if problem else ""
        if not problem:
            said = f": {commit.comment}" if commit.comment else ""
            self.around.say(f"configuration: commit {commit.sequence} of {commit.author} on node{commit.node} is in force{said}")
        return self.failed

    # -- the peer's ---------------------------------------------------------------------------------------------------

    async def answer(self, message: Message) -> Message:
        """To a question of the peer."""
        match message:
            case Prepare():
                return self._prepare(message)
            case Decide(commit):
                return await self._decided(commit)
            case HistoryAsked(ids, edited):
                self._peer_said(ids[0] if ids else "", edited)
                return self._history(ids)
            case HistoryGiven(commits):
                with contextlib.suppress(OSError):
                    self.store.add(commits)
                self._later(self._settle())
                return self._history([commit.id for commit in self.store.history()])
            case SynchronizationWanted():
                self._later(self.synchronize())
                return Ping()
            case _:
                return Ping()

    def _later(self, body: Awaitable[None]) -> None:
        task = asyncio.ensure_future(body)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _peer_said(self, head: str, edited: bool) -> None:
        self.peer_head, self.peer_edited = head, edited

    def _history(self, known: tuple[str, ...] | list[str]) -> HistoryTold:
        own = self.store.history()
        lacked = [commit for commit in own if commit.id not in known]
        ids = {commit.id for commit in own}
        lacking = tuple(identity for identity in known if identity not in ids)
        return HistoryTold(tuple(lacked[:COMMITS_PER_MESSAGE]), lacking, own[0].id if own else "", self.edited)

    def _prepare(self, wanted: Prepare) -> Prepared:
        if self.exclusive:
            return Prepared(f"error: configuration database locked by: {self.exclusive}", 0)
        # Two that begin at once: node 0 goes on, node 1 is refused by it and gives up.
        if self.busy and (self.decided or self.identity.node_id == 0):
            return Prepared(f"error: {self.busy} is committing on {self.me} at this moment; try again", 0)
        try:
            self._check(wanted.text)
            self._prepare_file(wanted.text, "peer")
        except CommitRefused as refused:
            return Prepared(str(refused), 0)
        self.promised = wanted
        head = self.store.head()
        return Prepared("", (head.sequence if head else 0) + len(self._adopted()))

    async def _decided(self, commit: Commit | None) -> Decided:
        promised, self.promised = self.promised, None
        fresh = self.file.with_name(f".{self.file.name}.peer")
        if commit is None or promised is None or promised.text != commit.text:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            return Decided("" if commit is None else "the decision came without the question; it is taken up by synchronization")
        try:
            self.store.add([*self._adopted(), commit])
        except OSError as error:
            return Decided(f"{self.store.directory}: {error.strerror}")
        self._peer_said(commit.id, False)
        problem = await self._put_in_force(commit, fresh)
        self.tell()
        return Decided(problem)

    # -- synchronization ----------------------------------------------------------------------------------------------

    def connection_changed(self) -> None:
        """The peer came or went. What it had prepared us for is void: it finds out by our history."""
        self.promised = None
        with contextlib.suppress(OSError):
            self.file.with_name(f".{self.file.name}.peer").unlink(missing_ok=True)
        if self.connected():
            self._later(self.synchronize())
        self.tell()

    async def synchronize(self) -> None:
        """Make the histories equal, and put in force what ranks highest."""
        with contextlib.suppress(PeerAway):
            await self._exchange()
        await self._settle()

    async def _exchange(self) -> None:
        if self.ask is None:
            return
        async with self._synchronizing:
            own = tuple(commit.id for commit in self.store.history())
            told = await self.ask(HistoryAsked(own, self.edited), PREPARE_TIMEOUT_S)
            assert isinstance(told, HistoryTold)
            self._peer_said(told.head, told.edited)
            while told.commits:
                try:
                    self.store.add(told.commits)
                except OSError as error:
                    self.failed = f"{self.store.directory}: {error.strerror}"
                    return
                self._tell_of_the_lost(told.commits)
                known = tuple(dict.fromkeys([*(commit.id for commit in self.store.history()), *(c.id for c in told.commits)]))
                if not {commit.id for commit in told.commits} & {commit.id for commit in self.store.history()}:
                    break  # All of them are older than what is kept.
                more = await self.ask(HistoryAsked(known, self.edited), PREPARE_TIMEOUT_S)
                assert isinstance(more, HistoryTold)
                told = HistoryTold(more.commits, told.lacking or more.lacking, more.head, more.edited)
            lacking = [commit for commit in self.store.history() if commit.id in told.lacking]
            for at in range(0, len(lacking), COMMITS_PER_MESSAGE):
                given = await self.ask(HistoryGiven(tuple(lacking[at : at + COMMITS_PER_MESSAGE])), PREPARE_TIMEOUT_S)
                assert isinstance(given, HistoryTold)
                self._peer_said(given.head, given.edited)

    def _tell_of_the_lost(self, fresh: tuple[Commit, ...]) -> None:
        """A commit that is in force nowhere although somebody made it: said once, on the node that learns of it."""
        lineage = self.store.lineage()
        for commit in self.store.history():
            beside = commit.kind != FILE and commit.id not in lineage
            if beside and (commit in fresh or lineage & {one.id for one in fresh}):
                self.around.say(
                    f"configuration: commit {commit.sequence} of {commit.author} on node{commit.node} was made beside another "
                    "and is not in force; it stays in the history: show system commit"
                )

    async def _settle(self) -> None:
        """What ranks highest is in force here, unless somebody edited the file or a commit is under way."""
        head, raw = self.store.head(), self._raw()
        if head is not None and not self.busy and self.promised is None and self._as_file(head.text) != (raw or ""):
            if raw is None or not self._is_edited(raw, head):
                await self._take_over(head, raw)
        elif head is not None and not self.store.applied().now:
            with contextlib.suppress(OSError):
                self.store.set_applied(Applied(digest(raw or ""), ""))
        self.tell()

    async def _take_over(self, head: Commit, raw: str | None) -> None:
        if not self.store.applied().now and raw is not None and "no-secondary-bootup-auto" in raw:
            return
        try:
            self._check(head.text)
            if raw is not None and not self.store.applied().now and not self._known(self._native(raw)):
                # A node that has never committed: what it had stays in the history, below what it takes over.
                comment = f"found in {self.file.name} of {self.me}"
                when = self.around.wall_clock()
                found = Commit(0, self.identity.node_id, when, "file", comment, self._native(raw), "", FILE)
                self.store.add([_below(found, head)])
            fresh = self._prepare_file(head.text, "own")
        except (CommitRefused, OSError) as error:
            self.failed = f"commit {head.sequence} of {head.author} cannot be taken over: {error}"
            return
        await self._put_in_force(head, fresh)

    async def take_over(self) -> str:
        """Put in force what ranks highest, over an edited file, which stays in the history. Why it could not be done."""
        with contextlib.suppress(PeerAway):
            await self._exchange()
        head, raw = self.store.head(), self._raw()
        if head is None:
            raise CommitRefused(NOTHING_COMMITTED)
        if self.busy or self.promised is not None:
            raise CommitRefused("error: somebody is committing at this moment; try again")
        if self._as_file(head.text) != raw:
            found = [_below(commit, head) for commit in self._adopted()]
            try:
                self.store.add(found)
                fresh = self._prepare_file(head.text, "own")
            except OSError as error:
                raise CommitRefused(f"error: {self.store.directory}: {error.strerror}") from error
            await self._put_in_force(head, fresh)
        self.tell()
        return self.difference()

    # -- commit confirmed ---------------------------------------------------------------------------------------------

    def _set_deadline(self, commit: Commit) -> None:
        seconds = commit.confirm_minutes * MINUTE_S
        around = self.around
        self.store.set_deadline(Deadline(commit.id, around.boot_id(), around.boot_clock() + seconds, around.wall_clock() + seconds))

    def remaining_s(self) -> float | None:
        """Until the commit in force is taken back; None when it stays."""
        head = self.store.head()
        if head is None or not head.confirm_minutes:
            return None
        deadline = self.store.deadline()
        if deadline is None or deadline.commit != head.id:
            try:
                self._set_deadline(head)
            except OSError:
                return float(head.confirm_minutes * MINUTE_S)
            return float(head.confirm_minutes * MINUTE_S)
        if deadline.boot == self.around.boot_id():
            return deadline.boot_time - self.around.boot_clock()
        # The machine was started anew: the wall clock, which may be wrong, within what was promised.
        return min(deadline.wall_time - self.around.wall_clock(), float(head.confirm_minutes * MINUTE_S))

    async def look(self) -> None:
        """Now and then: take back what nobody confirmed."""
        remaining = self.remaining_s()
        if remaining is None or remaining > 0 or self.busy or self.promised is not None:
            return
        head = self.store.head()
        assert head is not None
        parent = self.store.find(head.parent)
        text = parent.text if parent is not None else ""
        try:
            fresh = self._prepare_file(text, "own")
            # The same on both nodes, whichever does it first.
            back = Commit(
                head.sequence + 1,
                head.node,
                head.time + head.confirm_minutes * MINUTE_S,
                DAEMON,
                f"commit {head.sequence} of {head.author} was not confirmed",
                text,
                head.id,
                AUTOMATIC,
            )
            self.store.add([back])
        except (CommitRefused, OSError) as error:
            self.failed = f"commit {head.sequence} was not confirmed and cannot be taken back: {error}"
            self.tell()
            return
        await self._put_in_force(back, fresh)
        self.around.say(f"configuration: commit {head.sequence} of {head.author} was not confirmed and is taken back")
        self.tell()
        if self.ask is not None:
            with contextlib.suppress(PeerAway):
                await self.ask(SynchronizationWanted(), PREPARE_TIMEOUT_S)

    async def run(self) -> None:
        """Finish what a death interrupted, then look now and then."""
        await self._settle()
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()
            self.tell()


def _below(found: Commit, head: Commit) -> Commit:
    """Ranked just below ``head``, so that it is kept and not in force."""
    return msgspec.structs.replace(found, sequence=max(head.sequence - 1, 0))


def _mode(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o777
    return 0o640


__all__ = ["KEPT", "CommitRefused", "Committer", "Surroundings", "Wanted"]
