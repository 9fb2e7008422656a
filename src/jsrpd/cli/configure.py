"""Configuration mode: a candidate, the words that edit it, and the commands that bring it into force.

The mode has a prompt, a context, a grammar for completion, and ``execute``, so that an interactive shell and a script
drive the same thing. The candidate is the session's own: what others commit meanwhile is merged at commit, or refused
with the statements that both have changed.
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jsrpd.cli import pipes, render_configuration
from jsrpd.cli.commands import CommandFailed
from jsrpd.cli.configuration_client import Desk
from jsrpd.cli.configure_grammar import VERBS, grammar
from jsrpd.cli.grammar import GrammarError, Word
from jsrpd.configuration import files
from jsrpd.configuration.candidate import MAX_TEXT_BYTES, Candidate, EditFailed, NotThere, read
from jsrpd.configuration.junos import copy, quoted
from jsrpd.configuration.merge import merged
from jsrpd.configuration.places import TOP_PLACE, Role, WrongWord, in_full, walk
from jsrpd.configuration.render import comparison, lines_of, same, text_of

CONFIRM_MINUTES = 10
SHOWN_OF_A_LINE = 60
END_OF_TEXT = ("\x04", "^D", ".")
"""Lines that end a text typed at the terminal."""
UNCOMMITTED = "The configuration has been changed but not committed"
QUESTION = "Exit with uncommitted changes? [yes,no] (yes) "
LOADS = ("merge", "override", "replace", "set", "update")


class ConfigureMode:
    """``user_host``: as in the prompt. ``exclusive`` and ``private``: what ``configure`` was given."""

    def __init__(self, desk: Desk, user_host: str, exclusive: bool = False, private: bool = False) -> None:
        self._desk, self._user_host = desk, user_host
        told = desk.open(exclusive)
        self._take_base(told.text, told.base)
        self.candidate = Candidate(copy(self._base_tree))
        self.level: list[str] = []
        self.finished = False
        self._asking = False
        self._loading: tuple[str, list[str]] | None = None
        self._loading_bytes = 0
        how = " exclusive" if exclusive else " private" if private else ""
        self.banner = "".join(f"{line}\n" for line in [*told.remarks, f"Entering configuration mode{how}"])

    def _take_base(self, text: str, base: str) -> None:
        self._base = base
        self._base_tree = read(text, "configuration")

    # -- what a shell asks ----------------------------------------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """``user@host# ``; nothing while a text is typed."""
        if self._asking:
            return QUESTION
        return "" if self._loading is not None else f"{self._user_host}# "

    @property
    def context(self) -> str:
        """``[edit …]``."""
        return "" if self._loading is not None or self._asking else f"[edit{''.join(f' {quoted(word)}' for word in self.level)}]"

    @property
    def grammar(self) -> Word[Any]:
        """What can be typed at this level."""
        return grammar(self.candidate.tree, self.level)

    def values(self, argument: str) -> Sequence[tuple[str, str]]:
        """Of an argument; the grammar itself has those that are known."""
        return [(f"{n}", "") for n in range(50)] if argument == "rollback" else []

    @property
    def changed(self) -> bool:
        """Whether something would be lost."""
        return not same(self.candidate.tree, self._base_tree)

    def end_of_input(self) -> str | None:
        """Control-D: ends a text that is being typed, and says what came of it; None: it means ``exit``."""
        if self._loading is None:
            return None
        return self._loaded()

    def close(self) -> None:
        """The session is over, whatever was not committed is gone."""
        self.finished = True
        self._desk.close()

    # -- a line -----------------------------------------------------------------------------------------------------------

    def execute(self, line: str) -> str:
        """What is printed. CommandFailed, GrammarError."""
        if self._loading is not None:
            return self._collect(line)
        if self._asking:
            return self._answered(line)
        typed, piped = pipes.split([line])
        if not typed or typed[0].startswith("#"):
            return ""
        verb, words = self._verb(typed[0]), typed[1:]
        try:
            if verb == "show":
                return self._show(words, piped)
            pipeline = pipes.pipeline(piped, ())
            return pipeline.apply(self._do(verb, words))
        except EditFailed as error:
            raise CommandFailed(str(error)) from error
        except WrongWord as error:
            raise CommandFailed(f"syntax error: {error}") from error

    def _verb(self, typed: str) -> str:
        found = [typed] if typed in VERBS else [verb for verb in VERBS if verb.startswith(typed)]
        if len(found) == 1:
            return found[0]
        if found:
            raise GrammarError(f"'{typed}' is ambiguous: {', '.join(found)}")
        listed = "\n".join(f"  {name:<20} {help_}" for name, help_ in VERBS.items())
        raise GrammarError(f"syntax error at '{typed}'\nPossible completions:\n{listed}")

    def _do(self, verb: str, words: list[str]) -> str:
        match verb:
            case "set":
                self.candidate.put(self.level, _some(words, "set STATEMENT"))
            case "delete":
                try:
                    self.candidate.delete([*self.level, *words])
                except NotThere as missing:
                    return f"{missing}\n"
            case "activate" | "deactivate":
                self.candidate.activate([*self.level, *_some(words, f"{verb} STATEMENT")], verb == "activate")
            case "annotate":
                _some(words[1:], 'annotate STATEMENT "COMMENT"')
                self.candidate.annotate([*self.level, *words[:-1]], words[-1])
            case "rename" | "copy":
                self._to(verb, words)
            case "insert":
                self._insert(words)
            case "edit":
                self._edit(words)
            case "top":
                return self._elsewhere([], words)
            case "up":
                return self._up(words)
            case "exit" | "quit":
                return self._exit(words)
            case "commit":
                return self._commit(words)
            case "rollback":
                return self._rollback(words)
            case "load":
                return self._load(words)
            case "save":
                return self._save(words)
            case "update":
                return self._update()
            case "status":
                return self._status()
            case "run":
                from jsrpd.cli.main import answer

                return answer(words)
            case _:
                raise AssertionError(verb)
        return ""

    # -- editing ------------------------------------------------------------------------------------------------------------

    def _to(self, verb: str, words: list[str]) -> None:
        if len(words) < 3 or words[-2] != "to":
            # The vendor takes the list's word once more: rename redundancy-group 1 to redundancy-group 2.
            if len(words) >= 5 and words[-3] == "to":
                words = [*words[:-2], words[-1]]
            else:
                raise GrammarError(f"syntax error: it is: {verb} STATEMENT to NAME")
        path, name = [*self.level, *words[:-2]], words[-1]
        (self.candidate.rename if verb == "rename" else self.candidate.copy)(path, name)

    def _insert(self, words: list[str]) -> None:
        at = next((n for n, word in enumerate(words) if word in ("before", "after")), 0)
        if at < 1 or len(words) < at + 2:
            raise GrammarError("syntax error: it is: insert STATEMENT before|after NAME")
        self.candidate.insert([*self.level, *words[:at]], words[at] == "before", words[-1])

    def _edit(self, words: list[str]) -> None:
        steps = walk([*self.level, *_some(words, "edit STATEMENT")])
        if steps[-1].place.role not in (Role.CONTAINER, Role.ENTRY):
            raise CommandFailed(f"error: {steps[-1].word} has nothing below it to edit")
        if steps[-1].place.role is Role.CONTAINER and not steps[-1].place.below:
            raise CommandFailed(f"error: {steps[-1].word} has nothing below it to edit")
        self.level = [step.word for step in steps]

    def _elsewhere(self, level: list[str], words: list[str]) -> str:
        """``top`` or ``up``, alone or before a command that is meant there."""
        if not words:
            self.level = level
            return ""
        here, self.level = self.level, level
        verb = self._verb(words[0])
        try:
            return self._show(words[1:], []) if verb == "show" else self._do(verb, words[1:])
        finally:
            if verb != "edit":
                self.level = here

    def _up(self, words: list[str]) -> str:
        count = int(words.pop(0)) if words and words[0].isdigit() else 1
        level = self.level
        for _ in range(count):
            level = self._container_above(level)
        return self._elsewhere(level, words)

    def _container_above(self, level: list[str]) -> list[str]:
        above = level[:-1]
        while above and walk(above)[-1].place.role is Role.LIST:
            above = above[:-1]
        return above

    # -- looking --------------------------------------------------------------------------------------------------------------

    def _show(self, words: list[str], piped: list[list[str]]) -> str:
        own, others = list[list[str]](), list[list[str]]()
        for pipe in piped:
            known = pipe and any(len(pipe[0]) > 1 and name.startswith(pipe[0]) for name in ("compare", "display"))
            (own if known else others).append(pipe)
        if len(own) > 1:
            raise GrammarError("error: only one display or comparison at a time")
        pipeline = pipes.pipeline(others, ())
        if own and "compare".startswith(own[0][0]):
            return pipeline.apply(self._compare(own[0][1:]))
        path = self._path(words)
        if path is None:
            return pipeline.apply("")
        node, place = self.candidate.find(path) if path else (self.candidate.tree, TOP_PLACE)
        if own:
            return pipeline.apply(self._display(own[0][1:], path))
        if place.role is Role.VALUE or not node.children:
            return pipeline.apply("")
        if place.role is Role.LEAF:
            return pipeline.apply("".join(f"{line}\n" for line in lines_of(node, place)))
        return pipeline.apply(text_of(node, place))

    def _path(self, words: list[str]) -> list[str] | None:
        """None: nothing stands there, as at a level that was entered to make it."""
        path = list(self.level)
        for word in words:
            place = walk(path)[-1].place if path else TOP_PLACE
            path.append(in_full(place, word))
        if path and self.candidate.tree.find(*path) is None:
            walk(path)
            return None
        return path

    def _display(self, words: list[str], path: list[str]) -> str:
        wanted = next((name for name in ("set", "xml", "json", "yaml") if words and name.startswith(words[0])), "")
        if not wanted:
            raise GrammarError("syntax error: it is: display set | xml | json | yaml")
        only = Candidate(copy(self.candidate.tree))
        tree = only.tree
        for word in path:
            tree.children = {word: tree.children[word]}
            tree = tree.children[word]
        return files.as_yaml(only.tree) if wanted == "yaml" else render_configuration.shown(only.tree, wanted)

    def _compare(self, words: list[str]) -> str:
        if not words:
            return comparison(self._base_tree, self.candidate.tree)
        if len(words) != 2 or not "rollback".startswith(words[0]) or not words[1].isdigit():
            raise GrammarError("syntax error: it is: compare [rollback N]")
        return comparison(read(self._desk.read(int(words[1])), "rollback"), self.candidate.tree)

    def _status(self) -> str:
        lines = []
        for one in self._desk.commits():
            when = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(one.time)) if one.time else "-"
            lines.append(
                f"{one.number:<3} {when} by {one.author} via {one.client} on node{one.node}{f' ({one.note})' if one.note else ''}"
            )
            lines += [f"    {one.comment}"] if one.comment else []
        return "".join(f"{line}\n" for line in lines)

    # -- into force ---------------------------------------------------------------------------------------------------------

    def _commit(self, words: list[str]) -> str:
        check = quit_after = False
        comment, minutes = "", 0
        words = list(words)
        while words:
            word = words.pop(0)
            options = [name for name in ("check", "and-quit", "comment", "confirmed") if name.startswith(word)]
            match options:
                case ["check"]:
                    check = True
                case ["and-quit"]:
                    quit_after = True
                case ["comment"]:
                    comment = _some(words, 'commit comment "TEXT"').pop(0)
                case ["confirmed"]:
                    minutes = int(words.pop(0)) if words and words[0].isdigit() else CONFIRM_MINUTES
                    if not 1 <= minutes <= 65535:
                        raise GrammarError(f"error: {minutes} is not within range 1..65535 minutes")
                case _:
                    raise GrammarError(f"syntax error at '{word}': it is: commit [check] [confirmed [N]] [comment TEXT] [and-quit]")
        shown, now = self._desk.commit(self.candidate.text(), self._base, comment, minutes, check)
        if now is not None:
            self._take_base(now.text, now.base)
            self.candidate = Candidate(copy(self._base_tree))
            self._keep_level()
        if quit_after:
            self.close()
            shown += "Exiting configuration mode\n"
        return shown

    def _keep_level(self) -> None:
        while self.level and self.candidate.tree.find(*self.level) is None:
            self.level = self._container_above(self.level)

    def _rollback(self, words: list[str]) -> str:
        number = words[0] if words else "0"
        if len(words) > 1 or not number.isdigit() or int(number) > 49:
            raise GrammarError("syntax error: it is: rollback 0..49")
        if number == "0":
            # The newest, which may be newer than what this session began with.
            told = self._desk.open(False)
            self._take_base(told.text, told.base)
            self.candidate = Candidate(copy(self._base_tree))
        else:
            self.candidate = Candidate(read(self._desk.read(int(number)), f"rollback {number}"))
        self._keep_level()
        return "load complete\n"

    def _update(self) -> str:
        told = self._desk.open(False)
        tree, conflicts = merged(self._base_tree, self.candidate.tree, read(told.text, "configuration"))
        self._take_base(told.text, told.base)
        self.candidate = Candidate(tree)
        self._keep_level()
        listed = "".join(f"  {' '.join(path)}\n" for path in conflicts)
        return f"warning: these were changed by others as well, their values are taken:\n{listed}" if conflicts else ""

    def _exit(self, words: list[str]) -> str:
        if self.level and not words:
            self.level = self._container_above(self.level)
            return ""
        if self.changed:
            self._asking = True
            return f"{UNCOMMITTED}\n"
        self.close()
        return "Exiting configuration mode\n"

    def _answered(self, line: str) -> str:
        self._asking = False
        if not "yes".startswith(line.strip().lower()):
            return ""
        self.close()
        return "Exiting configuration mode\n"

    # -- whole texts ----------------------------------------------------------------------------------------------------------

    def _load(self, words: list[str]) -> str:
        relative = words[-1:] == ["relative"]
        words = words[:-1] if relative else words
        if len(words) != 2 or words[0] not in LOADS:
            raise GrammarError(f"syntax error: it is: load {'|'.join(LOADS)} terminal|FILE")
        how, source = words
        if source == "terminal":
            self._loading, self._loading_bytes = (how, []), 0
            return "[Type ^D at a new line to end input]\n"
        path = Path(source)
        try:
            if path.stat().st_size > MAX_TEXT_BYTES:
                size = path.stat().st_size >> 20
                raise CommandFailed(f"error: {path}: {size} MB is more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)")
            text = path.read_bytes().decode()
        except OSError as error:
            raise CommandFailed(f"error: {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandFailed(f"error: {path} is not text") from error
        return self._take(how, text, path.name)

    def _collect(self, line: str) -> str:
        assert self._loading is not None
        if line.strip() in END_OF_TEXT:
            return self._loaded()
        self._loading[1].append(line)
        self._loading_bytes += len(line) + 1
        if self._loading_bytes > MAX_TEXT_BYTES:
            self._loading = None
            raise CommandFailed(f"error: more than a configuration may have ({MAX_TEXT_BYTES >> 20} MB)")
        return ""

    def _loaded(self) -> str:
        assert self._loading is not None
        (how, lines), self._loading = self._loading, None
        try:
            return self._take(how, "\n".join(lines) + "\n", "terminal")
        except EditFailed as error:
            raise CommandFailed(str(error)) from error

    def _take(self, how: str, text: str, name: str) -> str:
        """All of it or nothing."""
        before = copy(self.candidate.tree)
        level = list(self.level)
        try:
            remarks = self._take_text(how, text, name)
        except (EditFailed, CommandFailed, GrammarError) as error:
            self.candidate, self.level = Candidate(before), level
            raise CommandFailed(f"{error}\nload failed; the candidate is as it was") from error
        self._keep_level()
        return f"{remarks}load complete\n"

    def _take_text(self, how: str, text: str, name: str) -> str:
        """What is to be remarked on."""
        if how == "set":
            return self._run_lines(text, name)
        tree = files.read_tree(text, name)
        match how:
            case "override" | "update":
                self.candidate = Candidate(tree)
            case "replace":
                self.candidate.replace(tree)
            case _:
                self.candidate.merge(tree)
        return ""

    def _run_lines(self, text: str, name: str) -> str:
        """Lines of commands that edit, and no others; what they remark on, with their numbers."""
        remarks = list[str]()
        if "\0" in text:
            raise EditFailed(f"error: {name} is not text")
        for number, line in enumerate(text.splitlines(), 1):
            typed, piped = pipes.split([line])
            if not typed or typed[0].startswith("#"):
                continue
            if piped or typed[0] not in (
                "set",
                "delete",
                "activate",
                "deactivate",
                "annotate",
                "rename",
                "copy",
                "insert",
                "edit",
                "top",
                "up",
            ):
                raise CommandFailed(f"{name}:{number}: '{line.strip()[:60]}' does not edit")
            try:
                said = self._do(typed[0], typed[1:])
            except (EditFailed, WrongWord, CommandFailed, GrammarError) as error:
                raise CommandFailed(f"{name}:{number}: {error}") from error
            remarks += [f"{name}:{number}: {said}"] if said else []
        return "".join(remarks)

    def _save(self, words: list[str]) -> str:
        (target,) = _some(words, "save FILE")[:1]
        path = Path(target)
        text = self.candidate.text()
        if path.suffix in (".json", ".yaml", ".yml"):
            text = files.written(text, path.name)
        try:
            path.write_text(text)
        except OSError as error:
            raise CommandFailed(f"error: {path}: {error.strerror}") from error
        return f"Wrote {len(text.splitlines())} lines of configuration to '{path}'\n"


def _some(words: list[str], form: str) -> list[str]:
    if not words:
        raise GrammarError(f"syntax error: it is: {form}")
    return words


def run_script(mode: ConfigureMode, lines: Iterable[str]) -> tuple[str, str]:
    """Every line, until one fails: what was printed, and the error. For scripts and pipes: nothing is asked."""
    printed = list[str]()
    for number, line in enumerate(lines, 1):
        try:
            printed.append(mode.execute(line.rstrip("\n")))
        except (CommandFailed, GrammarError) as error:
            mode.close()
            problem = f"{error}\nline {number} of the input failed: {_readable(line)}; nothing behind it was carried out"
            return "".join(printed), problem
        if mode.finished:
            break
    try:
        printed.append(mode.end_of_input() or "")
    except CommandFailed as error:
        mode.close()
        return "".join(printed), f"{error}\nthe text at the end of the input was not taken"
    lost = "warning: uncommitted changes are discarded\n" if not mode.finished and mode.changed else ""
    mode.close()
    return "".join(printed) + lost, ""


def _readable(line: str) -> str:
    """As much of it as one recognizes it by, without what is no text."""
    return "".join(one if one.isprintable() else "?" for one in line.strip()[:SHOWN_OF_A_LINE])
