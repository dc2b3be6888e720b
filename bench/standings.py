"""Runs in order: who may stand in one table, who ranks where, and what has to be said of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from bench.api import WHOLE_SET
from bench.compare import require_comparable
from bench.ranks import BySubject, Span, spans
from bench.results import Aggregate, Measured, RunResult

PARTIAL = (
    "Fewer subjects or seeds than the protocol asks for: not ranked, in the order of the mean."
)
ANCHORED = (
    "anchor: no method, but what the others are read against; not ranked. oracle shows another "
    "photograph of the subject than the one given, which is not held against itself; "
    "copy-reference the one given; wrong-subject one of another subject; text-only what the "
    "backbone draws without the subject; noise nothing."
)
OF_EDITS = (
    "anchor: no method, but what the others are read against; not ranked. oracle-edit shows the "
    "true edit; copy-source the image that was to be edited, untouched."
)
ORACLE = "oracle"
ANCHORS = {
    **dict.fromkeys((ORACLE, "copy-reference", "wrong-subject", "text-only", "noise"), ANCHORED),
    **dict.fromkeys(("oracle-edit", "copy-source"), OF_EDITS),
}
"""Methods that the others are read against, to what is said of them."""
ABOVE = "†"
COPYING = (
    f"{ABOVE} beyond the oracle: closer to the photographs than another real one is, which is a "
    "sign of copying and not of a better likeness."
)
MINI = "Mini weights: not comparable with anything outside the mini world."

Line = tuple[str, RunResult]
"""A row with what stands in its first column."""


@dataclass(frozen=True)
class Section:
    """Runs that may be compared: one protocol, one definition of every metric, one world."""

    ranked: list[tuple[Span, RunResult]]
    """Best first by the first metric; runs whose spans overlap are tied."""
    partial: list[RunResult]
    """Limited runs, best first."""
    anchors: list[RunResult]
    """Full runs of the anchors, best first."""

    @property
    def example(self) -> RunResult:
        """One of the runs: protocol, definitions and world are those of all."""
        return [*(result for _, result in self.ranked), *self.anchors, *self.partial][0]


def sections(runs: Iterable[Measured]) -> list[Section]:
    """Runs by what may be compared, each section ranked.

    UserError when full runs of one protocol do not answer the same cases.
    """
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for run in runs:
        groups.setdefault(comparable(run.result), []).append(run)
    return [_section(group) for _, group in sorted(groups.items())]


def comparable(result: RunResult) -> tuple[str, ...]:
    """What two runs must share to stand in one table."""
    definitions = [(name, *told.definition) for name, told in result.metrics.items()]
    return (
        result.protocol,
        MINI if result.mini_weights else "",
        result.suite_identity,
        result.protocol_identity,
        *(part for definition in definitions for part in definition),
    )


def _section(runs: list[Measured]) -> Section:
    ordered = sorted(runs, key=_standing)
    full = [run for run in ordered if not run.result.limited]
    methods = [run for run in full if not is_anchor(run.result)]
    return Section(
        ranked=list(zip(_ranks(methods), (run.result for run in methods), strict=True)),
        partial=[run.result for run in ordered if run.result.limited],
        anchors=[run.result for run in full if is_anchor(run.result)],
    )


def is_anchor(result: RunResult) -> bool:
    """Whether it is no method, but what methods are read against."""
    return result.origin == "run" and result.method in ANCHORS


def _standing(run: Measured) -> tuple[float, str]:
    first = next(iter(run.result.metrics.values()))
    return (-first.mean if first.higher_is_better else first.mean), run.result.identity


def _ranks(ordered: Sequence[Measured]) -> list[Span]:
    if not ordered:
        return []
    metric, told = next(iter(ordered[0].result.metrics.items()))
    for run in ordered[1:]:
        require_comparable(ordered[0], run, metric)
    return spans([_by_subject(run, metric) for run in ordered], told.higher_is_better)


def _by_subject(run: Measured, metric: str) -> BySubject:
    """What a metric says of each subject, so that the mean over it all is the run's number."""
    told = run.result.metrics[metric]
    numbers: dict[str, list[float]] = defaultdict(list)
    for (subject, _, _), value in run.values(metric).items():
        numbers[subject].append(value)
    if told.kind == "set":
        whole = numbers.pop(WHOLE_SET)[0]
        return _influences(whole, {subject: value for subject, [value] in numbers.items()})
    if told.average == "subjects":
        return {subject: [fsum(values) / len(values)] for subject, values in numbers.items()}
    return numbers


def _influences(whole: float, without: Mapping[str, float]) -> BySubject:
    """What each subject brings to a number of a set, from that number without it."""
    count = len(without)
    mean = fsum(without.values()) / max(1, count)
    return {name: [whole + (count - 1) * (mean - value)] for name, value in without.items()}


def lines_of(section: Section) -> list[Line]:
    """Every row of a section, partial ones last."""
    return standing(section) + [("partial", result) for result in section.partial]


def standing(section: Section) -> list[Line]:
    """The ranked rows, and the anchors under them."""
    ranked = [(str(rank), result) for rank, result in section.ranked]
    return ranked + [("", result) for result in section.anchors]


def oracle_of(lines: Sequence[Line]) -> RunResult | None:
    """The oracle among the rows, where it is."""
    oracles = (r for _, r in lines if is_anchor(r) and r.method == ORACLE and not r.limited)
    return next(oracles, None)


def beyond(result: RunResult, oracle: RunResult | None) -> set[str]:
    """The metrics in which a method's images are closer to the photographs than the oracle's."""
    if oracle is None or result.limited or is_anchor(result):
        return set()
    return {
        name
        for name, told in result.metrics.items()
        if tells_likeness(told) and _better(told, oracle.metrics[name])
    }


def tells_likeness(told: Aggregate) -> bool:
    """Whether it says how like its photographs the subject is: not a share, not the scene."""
    against = told.references not in ("none", "siblings") and told.kind != "set"
    return against and told.unit != "share" and told.region != "background"


def _better(one: Aggregate, other: Aggregate) -> bool:
    return one.mean > other.mean if one.higher_is_better else one.mean < other.mean


def footnotes(result: RunResult) -> list[str]:
    """What the numbers of a section mean."""
    notes = [f"{name}: {_definition(told)}" for name, told in result.metrics.items()]
    return [*notes, MINI] if result.mini_weights else notes


def anchor_notes(lines: Sequence[Line]) -> list[str]:
    """What the anchors among the rows are, and what it means to pass the oracle."""
    results, oracle = [result for _, result in lines], oracle_of(lines)
    notes = list(dict.fromkeys(ANCHORS[told.method] for told in results if is_anchor(told)))
    return [*notes, COPYING] if any(beyond(result, oracle) for result in results) else notes


def _definition(told: Aggregate) -> str:
    parts = [f"version {told.metric_version}", told.unit]
    if told.encoder:
        parts.append(f"encoder {told.encoder} ({(told.encoder_digest or 'no digest')[:12]})")
    if told.region != "whole":
        parts.append(f"region {told.region}")
    return ", ".join([*parts, told.held_against.replace("references ", "references: ")])
