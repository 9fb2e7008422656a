"""What the bench prints. Pure."""

from collections.abc import Iterator, Sequence

from bench.figures import RowResult, Sample, Spread, is_met, spread
from bench.rows import MEASURE, MEASURES, Row, Target

OWN, RIVAL = "jsrpd", "keepalived"
LABEL_WIDTH, FIGURE_WIDTH, TARGET_WIDTH = 24, 30, 26


def figure(found: Spread | None) -> str:
    """``median (least..greatest)``."""
    if found is None:
        return "no run"
    return f"{_number(found.median)} ({_number(found.least)}..{_number(found.greatest)})"


def _number(value: float) -> str:
    if value == round(value) or value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def demand(target: Target | None) -> str:
    """A target in words; judged by the worst run where the measure is a promise."""
    if target is None:
        return ""
    worst = ", every run" if MEASURE[target.measure].by_worst else ""
    return f"≤ {_number(target.limit)}{worst}{f', < {RIVAL}' if target.below_rival else ''}"


def verdict(target: Target | None, own: Spread | None, rival: Spread | None) -> str:
    """``met``, ``missed`` or ``not measured``; empty without a target."""
    if target is None:
        return ""
    return {True: "met", False: "missed", None: "not measured"}[is_met(target, own, rival)]


def header() -> str:
    """Names of the columns."""
    return f"{'median (min..max)':<{LABEL_WIDTH}}{OWN:<{FIGURE_WIDTH}}{RIVAL:<{FIGURE_WIDTH}}{'target':<{TARGET_WIDTH}}"


def row_lines(result: RowResult) -> Iterator[str]:
    """A row: its title with the number of runs that count, a line per measure, and every run that does not count."""
    counts = " and ".join(f"{_counted(result.samples[name])} of {name}" for name in (OWN, RIVAL))
    yield f"{result.row.title}  [{result.row.name}; runs: {counts}]"
    targets = {target.measure: target for target in result.row.targets}
    for measure in MEASURES:
        own, rival = (spread(result.samples[name], measure.key) for name in (OWN, RIVAL))
        target = targets.get(measure.key)
        cells = f"{figure(own):<{FIGURE_WIDTH}}{figure(rival):<{FIGURE_WIDTH}}{demand(target):<{TARGET_WIDTH}}"
        yield f"  {measure.label:<{LABEL_WIDTH - 2}}{cells}{verdict(target, own, rival)}".rstrip()
    for name, samples in result.samples.items():
        for sample in samples:
            if sample.spoilt:
                yield f"  ! a run of {name} does not count, {sample.spoilt} (its longest gap: {sample.gap_ms:.1f} ms)"
    for failure in result.failures:
        yield f"  ! {failure}"


def _counted(samples: Sequence[Sample]) -> int:
    return sum(not sample.spoilt for sample in samples)


def is_complete(result: RowResult, runs: int) -> bool:
    """Whether as many runs count as were asked for, on both sides."""
    return all(_counted(samples) >= runs for samples in result.samples.values())


def missed(results: Sequence[RowResult]) -> list[str]:
    """Names of targets that were not met, or not measured: ``row: measure``."""
    return [f"{result.row.name}: {label}" for result in results for label in _missed_of(result)]


def _missed_of(result: RowResult) -> Iterator[str]:
    for target in result.row.targets:
        own, rival = (spread(result.samples[name], target.measure) for name in (OWN, RIVAL))
        said = verdict(target, own, rival)
        if said != "met":
            yield f"{MEASURE[target.measure].label} {said}"


def machine_lines(results: Sequence[RowResult], cpus: int, freeze_ms: float, at_start: float) -> Iterator[str]:
    """Under which circumstances the figures came about."""
    every = [sample for result in results for samples in result.samples.values() for sample in samples]
    loads = [sample.load for sample in every] or [at_start]
    spoilt = sum(bool(sample.spoilt) for sample in every)
    failed = sum(len(result.failures) for result in results)
    yield f"machine: {cpus} CPUs, load average at the start {at_start:.2f}, during the runs {min(loads):.2f}..{max(loads):.2f}"
    yield f"longest freeze seen by the reference threads in the whole bench: {freeze_ms:.1f} ms"
    noise = spread(every, "noise_ms")
    if noise is not None:
        yield f"longest gap without a fault (just before each): {figure(noise)} ms"
    yield f"{len(every) - spoilt} runs count; {spoilt} do not, for a freeze or a move before the fault; {failed} gave no figures"


def as_json(result: RowResult) -> dict[str, object]:
    """A row with each run's figures."""
    row: Row = result.row
    return {
        "row": row.name,
        "title": row.title,
        "runs": {name: [_sample_json(sample) for sample in samples] for name, samples in result.samples.items()},
        "failures": list(result.failures),
        "missed": list(_missed_of(result)),
    }


def _sample_json(sample: Sample) -> dict[str, object]:
    fields = ("freeze_ms", "noise_ms", "load", "spoilt")
    return {name: getattr(sample, name) for name in (*(measure.key for measure in MEASURES), *fields)}
