"""``show metrics`` in other formats than the one that monitoring systems read (OpenMetrics)."""

import re
from dataclasses import asdict, dataclass, field

import msgspec

from jsrpd.cli.render_xml import Element

_SAMPLE = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """``name``: with the suffix of its kind, as ``_total``."""

    name: str
    labels: dict[str, str]
    value: int | float


@dataclass(slots=True)
class Family:
    """What one metric says. ``type``: gauge, counter, info …"""

    name: str
    type: str = "unknown"
    help: str = ""
    samples: list[Sample] = field(default_factory=list)


def families(text: str) -> list[Family]:
    """Of a page as our gateway writes it: the lines about a metric stand together, in front of its samples."""
    found: list[Family] = []
    for line in text.splitlines():
        if line.startswith("# "):
            kind, _, rest = line[2:].partition(" ")
            name, _, said = rest.partition(" ")
            if kind in ("TYPE", "HELP"):
                if not found or found[-1].name != name:
                    found.append(Family(name))
                setattr(found[-1], kind.lower(), said)
        elif (sample := _SAMPLE.match(line)) is not None and found:
            labels = {name: _unescaped(value) for name, value in _LABEL.findall(sample["labels"] or "")}
            found[-1].samples.append(Sample(sample["name"], labels, _number(sample["value"])))
    return found


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), text)


def as_json(told: list[Family]) -> str:
    """An array of ``Family``, its fields by name."""
    return msgspec.json.format(msgspec.json.encode([asdict(one) for one in told]), indent=2).decode() + "\n"


def as_xml(told: list[Family]) -> Element:
    """An element for each metric."""
    return ("metrics-information", [("metric", _metric(one)) for one in told])


def _metric(one: Family) -> list[Element]:
    content: list[Element] = [("name", one.name), ("type", one.type), ("description", one.help)]
    for sample in one.samples:
        labels: list[Element] = [("label", [("name", name), ("value", value)]) for name, value in sample.labels.items()]
        content.append(("sample", [("name", sample.name), *labels, ("value", str(sample.value))]))
    return content
