"""What an operator orders of this node as a whole: maintenance, rejoin, and the count that stops preemption."""

from jsrpd.cli.commands import Call, _done, ask

LONGEST_RESTART_S = 25.0


def maintenance_on(_call: Call) -> str:
    """``request chassis cluster maintenance on``."""
    return _maintenance(on=True)


def maintenance_off(_call: Call) -> str:
    """``request chassis cluster maintenance off``."""
    return _maintenance(on=False)


def _maintenance(on: bool) -> str:
    from jsrpd.management.requests import Maintenance

    return _done(ask(Maintenance(on)))


def rejoin(_call: Call) -> str:
    """``request chassis cluster rejoin``."""
    from jsrpd.management.requests import Rejoin

    return _done(ask(Rejoin()))


def clear_preempt_count(call: Call) -> str:
    """``clear chassis cluster preempt-count [redundancy-group N]``."""
    from jsrpd.management.requests import ClearPreemptCount

    return ask(ClearPreemptCount(call.number("group") if "group" in call.values else None)).text + "\n"


def restart_daemon(_call: Call) -> str:
    """``request daemon restart``."""
    from jsrpd.management.requests import RestartDaemon

    reply = ask(RestartDaemon(), LONGEST_RESTART_S)
    return reply.text + "\n" if reply.node is None else _done(reply)
