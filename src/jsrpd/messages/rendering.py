"""Messages as bytes on the wire and text on the screen: BSD form, RFC 5424 form, plain text (SPEC section 10)."""

import datetime
import re

from jsrpd.messages.catalogue import CATALOGUE, FACILITY_DAEMON, LogMessage

VARIABLE = re.compile(r"<([a-z-]+)>")
STRUCTURED_DATA_ID = "junos@2636.1.1.1.2.129"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def render_text(message: LogMessage) -> str:
    """The sentence with its variables filled in; always one line."""
    values = dict(message.values)
    return VARIABLE.sub(lambda found: _one_line(values[found[1]]), CATALOGUE[message.tag].text)


def _one_line(value: str) -> str:
    return "".join(c if c.isprintable() else "; " if c == "\n" else " " for c in value)


def _priority(message: LogMessage) -> int:
    return FACILITY_DAEMON * 8 + CATALOGUE[message.tag].severity


def render_bsd(message: LogMessage, at: datetime.datetime, host: str, pid: int) -> bytes:
    """``<PRI>Mmm dd hh:mm:ss host jsrpd[pid]: TAG: text``; ``at`` in local time.

    Without a host for the local daemon: it expects the tag there, as from syslog(3), and adds the name itself (decision 0130).
    """
    stamp = f"{MONTHS[at.month - 1]} {at.day:2d} {at:%H:%M:%S}"
    where = f"{host} " if host else ""
    return f"<{_priority(message)}>{stamp} {where}jsrpd[{pid}]: {message.tag}: {render_text(message)}".encode()


def render_rfc5424(message: LogMessage, at: datetime.datetime, host: str, pid: int) -> bytes:
    """Version 1 with the vendor's structured data; ``at`` with its offset. Milliseconds always (reference 8.5)."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parameters = " ".join(f'{name}="{_escaped(value)}"' for name, value in (*message.values, *message.extra))
    data = f"[{STRUCTURED_DATA_ID} {parameters}]" if parameters else "-"
    return f"<{_priority(message)}>1 {stamp} {host or '-'} jsrpd {pid} {message.tag} {data} {render_text(message)}".encode()


def _escaped(value: str) -> str:
    """RFC 5424 section 6.3.3."""
    return _one_line(value).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
