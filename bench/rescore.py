"""The same images under every protocol of a suite: how much of a number is protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.api import Case, Progress, silent
from bench.brought import Scored, score_images
from bench.counterparts import wants_vanilla
from bench.errors import UserError
from bench.faults import Report
from bench.folder import Found, check, index
from bench.plan import make_cases
from bench.protocols import Protocol
from bench.score import Networks
from bench.sitting import Drawn, Shown, not_shown, place_of
from bench.suites import Suite

NOTE = (
    "The same images are scored again under every protocol. They answer one way of asking, "
    "whatever name a protocol puts into its prompts and whichever photograph it gives; metrics of "
    "text read each protocol's own text."
)


@dataclass(frozen=True)
class Outcome:
    """What a protocol makes of the images, or why it makes nothing of them."""

    protocol: Protocol
    scored: Scored | None = None
    reason: str = ""


def look(
    suite: Suite, protocols: Sequence[Protocol], source: Path, progress: Progress = silent
) -> Report:
    """The images and their faults, told apart as the protocol that fits them best does.

    Files named after their prompts are recognised by the names that this protocol puts there.
    UserError for a source that cannot be read.
    """
    found = [index(source, make_cases(suite, p, suite.subjects, p.seeds)) for p in protocols]
    return check(max(found, key=_fit), progress)


def rescore(
    suite: Suite,
    protocols: Sequence[tuple[Protocol, Protocol]],
    report: Report,
    label: str,
    allow_partial: bool = False,
    out: Path | None = None,
    progress: Progress = silent,
    vanilla: Path | None = None,
    shown: Shown = not_shown,
) -> list[Outcome]:
    """Every protocol's numbers for the images of a report, in a folder each.

    ``protocols`` are pairs: a protocol, and itself with the metrics that are wanted. What cannot be
    scored, for want of images, weights or photographs, has a reason in its place. Networks and
    features are shared. ``vanilla`` and ``shown`` are those of ``bench.brought.score_images``.
    """
    networks: Networks = {}

    def outcome(protocol: Protocol, used: Protocol) -> Outcome:
        cases = make_cases(suite, protocol, suite.subjects, protocol.seeds)
        images = _answers(cases, report)
        limited = len(images) < len(cases)
        if limited and not (allow_partial and images):
            return Outcome(protocol, reason=_lack(protocol, len(cases), images, report))
        place = out / protocol.key if out else None
        without = vanilla if wants_vanilla(used) else None
        try:
            scored = score_images(
                suite,
                protocol,
                used,
                images,
                label,
                limited,
                place,
                progress,
                networks,
                without,
                shown,
            )
        except UserError as error:
            return Outcome(protocol, reason=str(error))
        return Outcome(protocol, scored)

    return [outcome(protocol, used) for protocol, used in protocols]


def spread(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How far the numbers of a metric lie apart: largest less smallest, by metric.

    Of metrics that several protocols have. Toy encoders count only where there are no others.
    """
    results = [outcome.scored[1] for outcome in outcomes if outcome.scored]
    real = [result for result in results if not result.mini_weights] or results
    numbers: dict[str, list[float]] = {}
    for result in real:
        for name, told in result.metrics.items():
            numbers.setdefault(name, []).append(told.mean)
    return {name: max(told) - min(told) for name, told in numbers.items() if len(told) > 1}


def table(outcomes: Sequence[Outcome]) -> Table:
    """Protocols as rows, metrics as columns, raw numbers; the last row says how far they differ."""
    scored = [(outcome.protocol, outcome.scored[1]) for outcome in outcomes if outcome.scored]
    metrics = list(dict.fromkeys(name for _, result in scored for name in result.metrics))
    drawn = Table("protocol")
    for column in ("images", *metrics):
        drawn.add_column(column, justify="right")
    for protocol, result in scored:
        marks = ["mini weights"] * result.mini_weights + ["partial"] * result.limited
        name = f"{protocol.key} ({', '.join(marks)})" if marks else protocol.key
        told = {metric: f"{number.mean:.4f}" for metric, number in result.metrics.items()}
        n = str(max(number.n for number in result.metrics.values()))
        drawn.add_row(Text(name), n, *(told.get(metric, "-") for metric in metrics))
    if apart := spread(outcomes):
        drawn.add_section()
        cells = (f"{apart[metric]:.4f}" if metric in apart else "-" for metric in metrics)
        drawn.add_row("largest - smallest", "", *cells)
    return drawn


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What ``--json`` prints of the outcomes."""
    return {
        "note": NOTE,
        "protocols": {outcome.protocol.key: _document(outcome) for outcome in outcomes},
        "spread": spread(outcomes),
    }


def _fit(found: Found) -> tuple[int, int]:
    """Of those that recognise most images, the one that misses fewest."""
    return len(found.files), -len(found.cases)


def _answers(cases: Sequence[Case], report: Report) -> list[Drawn]:
    """The images by subject, prompt and seed, under a protocol's own cases."""
    files = {place_of(case): (path, digest) for case, path, digest in report.images}
    return [(case, *files[place_of(case)]) for case in cases if place_of(case) in files]


def _lack(protocol: Protocol, asked: int, images: Sequence[Drawn], report: Report) -> str:
    seeds = len({case.seed for case, _, _ in report.images})
    if protocol.seeds > seeds:
        return f"it asks for {protocol.seeds} images of every prompt, and there are {seeds}."
    return (
        f"of the {asked} images it asks for, {asked - len(images)} are missing or cannot be used: "
        "mend this, or score the others with --allow-partial."
    )


def _document(outcome: Outcome) -> dict[str, Any]:
    if outcome.scored is None:
        return {"reason": outcome.reason}
    folder, result = outcome.scored
    keep = {"limited", "mini_weights", "n_subjects", "n_seeds", "metrics"}
    reported = {"reported": outcome.protocol.reported}
    return {"folder": str(folder), **reported, **result.model_dump(mode="json", include=keep)}
