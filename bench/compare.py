"""Runs on the same questions: which lies higher, and is it more than chance."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.api import WHOLE_SET
from bench.contrast import TIE, Contrast, adjusted, contrast, contrast_sets
from bench.errors import UserError, unknown
from bench.paths import leaderboards_folder
from bench.prompts import Prompts, prompts_of
from bench.results import MEASURED, Measured, read_measured
from bench.stats import Paired, paired, paired_sets

Halves = Callable[[Measured, Measured, str], Sequence[float]]
"""A - B of a metric about sets for ``bench.stats.halves`` of the subjects; empty where unknown."""


def compare(
    run_a: Path, run_b: Path, metric: str | None = None, tie: float = TIE
) -> dict[str, Contrast]:
    """A - B for one metric, or for all that both runs have, from the rows in their folders.

    A board's row may stand for a run, as ``SUITE@VERSION/ROW``. ``tie``: no larger difference
    counts as a win. UserError when the runs differ in suite, protocol, a metric's definition or the
    cases answered, when a folder holds no finished run, and for unknown metrics.
    """
    return compare_all([run_a, run_b], metric, tie)[0]


def compare_all(
    runs: Sequence[Path],
    metric: str | None = None,
    tie: float = TIE,
    halves: Halves | None = None,
) -> list[dict[str, Contrast]]:
    """The first run against each of the others, as ``compare`` does.

    A metric's p values are adjusted for all comparisons that are made of it here. Metrics about
    sets have a second interval from ``halves``.
    """
    first, *others = [read_measured(_folder(run)) for run in runs]
    prompts = prompts_of(first.result)
    found: list[dict[str, Contrast]] = []
    for other in others:
        shared = _shared(first, other, metric)
        found.append({name: _contrast(first, other, name, prompts, tie, halves) for name in shared})
    for name in first.result.metrics:
        family = [told for told in found if name in told]
        for told, one in zip(family, adjusted([told[name] for told in family]), strict=True):
            told[name] = one
    return found


def _folder(run: Path) -> Path:
    suite, _, row = run.as_posix().partition("/")
    on_board = leaderboards_folder().joinpath(*suite.split("@"), MEASURED, row)
    return on_board if on_board.is_dir() and not run.exists() else run


def _shared(a: Measured, b: Measured, metric: str | None) -> list[str]:
    """The metrics to compare, in the first run's order."""
    shared = [name for name in a.result.metrics if name in b.result.metrics]
    if not shared:
        raise _incomparable(a, b, "they share no metric")
    if metric is not None and metric not in shared:
        raise unknown("metric", metric, shared)
    return [metric] if metric else shared


def _contrast(
    a: Measured, b: Measured, metric: str, prompts: Prompts, tie: float, halves: Halves | None
) -> Contrast:
    require_comparable(a, b, metric)
    told = a.result.metrics[metric]
    if told.kind == "set":
        of_halves = halves(a, b, metric) if halves else ()
        sides = _of_set(a, metric), _of_set(b, metric)
        return contrast_sets(*sides, told.n, told.higher_is_better, of_halves)
    return contrast(a.values(metric), b.values(metric), prompts, told.higher_is_better, tie)


def difference(a: Measured, b: Measured, metric: str) -> Paired:
    """A - B for a metric that both have. UserError when the two are not comparable."""
    require_comparable(a, b, metric)
    if a.result.metrics[metric].kind == "set":
        n = a.result.metrics[metric].n
        return paired_sets(_of_set(a, metric), _of_set(b, metric), n)
    return paired(a.values(metric), b.values(metric))


def require_comparable(a: Measured, b: Measured, metric: str) -> None:
    """UserError where the two define a metric otherwise, or do not answer the same cases in it."""
    _require_one_definition(a, b, metric)
    values_a, values_b = a.values(metric), b.values(metric)
    if values_a.keys() == values_b.keys():
        return
    if a.result.metrics[metric].kind == "set":
        raise _incomparable(a, b, f"their {metric} is about different subjects")
    raise UserError(
        f"{a.folder} and {b.folder} answer different cases in {metric}: "
        f"{len(values_a.keys() - values_b.keys())} of the first are missing in the second and "
        f"{len(values_b.keys() - values_a.keys())} of the second in the first; "
        "run both with the same subjects and seeds."
    )


def _of_set(run: Measured, metric: str) -> tuple[float, dict[str, float]]:
    """A number about the whole set, and that number without every subject."""
    values = {key[0]: value for key, value in run.values(metric).items()}
    return values.pop(WHOLE_SET), values


def _require_one_definition(a: Measured, b: Measured, metric: str) -> None:
    one, other = a.result, b.result
    told = [
        ("suite", f"{one.suite}", f"{other.suite}"),
        ("suite content", one.suite_identity, other.suite_identity),
        ("protocol", one.protocol, other.protocol),
        ("protocol content", one.protocol_identity, other.protocol_identity),
    ]
    definitions = zip(one.metrics[metric].definition, other.metrics[metric].definition, strict=True)
    told += [(f"definition of {metric}", *pair) for pair in definitions]
    if why := _first_difference(told):
        raise _incomparable(a, b, why)


def _first_difference(told: Iterable[tuple[str, str, str]]) -> str | None:
    for what, one, other in told:
        if one != other:
            return f"the {what} differs ({one} and {other})"
    return None


def _incomparable(a: Measured, b: Measured, why: str) -> UserError:
    return UserError(
        f"{a.folder} and {b.folder} cannot be compared: {why}; run both on the same ones."
    )
