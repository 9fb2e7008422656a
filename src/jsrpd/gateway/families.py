"""Metric families and the two ways to write them: OpenMetrics 1.0, and the older text format that some tools still read.

The older one has no state sets, no units and no end mark, and counts what is called ``x_total`` under that name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OLDER_TEXT = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["gauge", "counter", "stateset", "info", "histogram"]
SUFFIX: dict[Kind, str] = {"gauge": "", "counter": "_total", "stateset": "", "info": "_info", "histogram": ""}


@dataclass(frozen=True, slots=True)
class Sample:
    """One line: labels in the order they are written, and a value in base units. ``suffix``: of a histogram's lines."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric. ``name`` without the suffix of its kind; ``unit`` is the end of the name, empty when it has none."""

    name: str
    kind: Kind
    help: str
    unit: str = ""
    samples: list[Sample] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One more sample."""
        self.samples.append(Sample(labels, value))

    def distribute(self, bounds: Iterable[float], counts: Iterable[int], total: float) -> None:
        """A histogram's samples: ``counts`` of what was at most each bound and more than the one before, and last of the rest."""
        below = 0
        for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
            below += count
            self.samples.append(Sample({"le": bound}, below, "_bucket"))
        self.samples.extend((Sample({}, below, "_count"), Sample({}, total, "_sum")))


def open_metrics(families: Iterable[Family]) -> str:
    """The whole exposition, with its end mark."""
    return "".join(f"{line}\n" for family in families for line in _open_metrics(family)) + "# EOF\n"


def _open_metrics(family: Family) -> Iterator[str]:
    yield f"# TYPE {family.name} {family.kind}"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield from _samples(family)


def older_text(families: Iterable[Family]) -> str:
    """The same in the text format 0.0.4."""
    lines = []
    for family in families:
        name = family.name + SUFFIX[family.kind]
        kind = family.kind if family.kind in ("counter", "histogram") else "gauge"
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {kind}", *_samples(family)]
    return "".join(f"{line}\n" for line in lines)


def _samples(family: Family) -> Iterator[str]:
    for sample in family.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        name = family.name + SUFFIX[family.kind] + sample.suffix
        yield f"{name}{{{labels}}} {sample.value}" if labels else f"{name} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
