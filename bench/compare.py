"""Two runs on the same questions: which lies higher, and is it more than chance."""

from collections.abc import Iterable
from pathlib import Path

from bench.api import WHOLE_SET
from bench.errors import UserError, unknown
from bench.results import Measured, read_measured
from bench.stats import Paired, paired, paired_sets


def compare(run_a: Path, run_b: Path, metric: str | None = None) -> dict[str, Paired]:
    """A - B for one metric, or for all that both runs have, from the rows in their folders.

    UserError when the runs differ in suite, protocol, a metric's definition or the cases answered,
    when a folder holds no finished run, and for unknown metrics.
    """
    a, b = read_measured(run_a), read_measured(run_b)
    shared = [name for name in a.result.metrics if name in b.result.metrics]
    if not shared:
        raise _incomparable(a, b, "they share no metric")
    if metric is not None and metric not in shared:
        raise unknown("metric", metric, shared)
    return {name: difference(a, b, name) for name in ([metric] if metric else shared)}


def difference(a: Measured, b: Measured, metric: str) -> Paired:
    """A - B for a metric that both have. UserError when the two are not comparable."""
    require_comparable(a, b, metric)
    if a.result.metrics[metric].kind == "set":
        return _difference_of_sets(a, b, metric)
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


def _difference_of_sets(a: Measured, b: Measured, metric: str) -> Paired:
    sides = [{key[0]: value for key, value in run.values(metric).items()} for run in (a, b)]
    (whole_a, whole_b) = (side.pop(WHOLE_SET) for side in sides)
    n = a.result.metrics[metric].n
    return paired_sets((whole_a, sides[0]), (whole_b, sides[1]), n)


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
