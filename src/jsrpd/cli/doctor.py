"""``jsrp doctor``: both nodes surveyed, judged by ``jsrpd.doctor``, shown. Imported by that command only."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import msgspec

from jsrpd.cli.commands import CommandFailed, directory
from jsrpd.doctor.checks import NODE_CHECKS, PAIR_CHECKS, Finding, Severity, examine
from jsrpd.management import client
from jsrpd.management.requests import SOCKET_NAME, AskPeer, TakeSurvey
from jsrpd.model.survey import Survey, decode_survey

TIMEOUT_S = 25.0
EXIT_CODES = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.NOTE: 0}
WIDTH = 100
NOT_UNDERSTOOD = "the answer is not understood; are jsrp and jsrpd of one version?"


def run(display: str) -> str:
    """The report. CommandFailed with 1 when there are warnings, 2 when something is critical."""
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(_peer)
        own = _own()
        peer, why = asked.result()
    if own.cluster_id == 0:
        why = ""
    elif not own.running:
        peer, why = None, f"node{1 - own.node_id} was not asked: the daemon of this node, which asks it, does not answer"
    findings = examine(own, peer, why)
    shown = _json(own, peer, findings) if display == "json" else _text(own, peer, findings)
    code = max((EXIT_CODES[one.severity] for one in findings), default=0)
    if code:
        raise CommandFailed("", shown, code)
    return shown


def _own() -> Survey:
    """By the daemon, which has the rights; by a process of our own where it does not answer."""
    path = directory("RUNTIME_DIRECTORY", "/run/jsrpd") / SOCKET_NAME
    try:
        reply = client.ask(path, TakeSurvey(), TIMEOUT_S)
        if reply.ok:
            return decode_survey(reply.survey)
    except (client.DaemonUnreachable, msgspec.DecodeError):
        pass
    if os.geteuid() != 0:
        raise CommandFailed("error: the daemon does not answer, and without it only root may look; run as root")
    done = subprocess.run([sys.executable, "-m", "jsrpd.processes.surveyor"], capture_output=True, check=False)
    try:
        return decode_survey(done.stdout)
    except msgspec.DecodeError as error:
        raise CommandFailed(f"error: this node cannot be surveyed: {done.stderr.decode(errors='replace').strip()}") from error


def _peer() -> tuple[Survey | None, str]:
    """The other node's, or why there is none."""
    path = directory("RUNTIME_DIRECTORY", "/run/jsrpd") / SOCKET_NAME
    try:
        reply = client.ask(path, AskPeer(TakeSurvey()), TIMEOUT_S)
        return (decode_survey(reply.survey), "") if reply.ok else (None, reply.text.removeprefix("error: "))
    except client.DaemonUnreachable as error:
        return None, str(error)
    except msgspec.DecodeError:
        return None, NOT_UNDERSTOOD


def _text(own: Survey, peer: Survey | None, findings: Sequence[Finding]) -> str:
    lines = [_examined(own, peer), ""]
    for one in findings:
        where = "both" if one.node is None and own.cluster_id else "here" if one.node is None else f"node{one.node}"
        head = f"{one.severity.value:<9} {where:<6} {one.check}: "
        lines += _wrapped(head, one.cause)
        lines += [*_wrapped(" " * 17 + "so: ", one.consequence), *_wrapped(" " * 17 + "mend: ", one.mend), ""]
    counts = [(severity, sum(one.severity is severity for one in findings)) for severity in Severity]
    checks = len(NODE_CHECKS) + (len(PAIR_CHECKS) if peer is not None else 0)
    found = ", ".join(_counted(count, severity) for severity, count in counts if count) or "nothing found"
    return "\n".join([*lines, f"{checks} checks: {found}"]) + "\n"


def _counted(count: int, severity: Severity) -> str:
    plural = "s" if count > 1 and severity is not Severity.CRITICAL else ""
    return f"{count} {severity.value}{plural}"


def _examined(own: Survey, peer: Survey | None) -> str:
    if not own.cluster_id:
        return f"Examined: {own.host_name}, which is in no cluster"
    both = sorted((survey for survey in (own, peer) if survey is not None), key=lambda survey: survey.node_id)
    return f"Examined: {', '.join(f'node{survey.node_id} ({survey.host_name})' for survey in both)} of cluster {own.cluster_id}"


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * 19, break_long_words=False, break_on_hyphens=False
    )


def _json(own: Survey, peer: Survey | None, findings: Sequence[Finding]) -> str:
    """``examined``: nodes; ``findings``: the fields of ``Finding``; ``surveys``: what was found, by node."""
    surveys = [survey for survey in (own, peer) if survey is not None]
    tree = {
        "examined": [survey.node_id for survey in surveys],
        "findings": [{**asdict(one), "severity": one.severity.value} for one in findings],
        "surveys": msgspec.to_builtins(surveys),
    }
    return msgspec.json.format(msgspec.json.encode(tree), indent=2).decode() + "\n"
