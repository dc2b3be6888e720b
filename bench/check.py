"""Methods run again and held against rows that were measured before.

Code that has not changed draws the same images again; on another processor a few of them differ in
the last bit of a pixel. What moves by more than a tolerance was moved by a change.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path
from typing import Any

from pydantic import Field, FiniteFloat

from bench.api import WHOLE_SET, Frozen, Progress, silent
from bench.board import read_board
from bench.compare import difference
from bench.errors import UserError
from bench.expected import Expected, Ordering, board_of
from bench.paths import cache_in
from bench.plan import Plan, Request, make_plan
from bench.reproduce import Bars
from bench.results import RESULT_FILE, Measured, Name, RunResult, read_measured
from bench.suites import Suite, load_suite


class Number(Frozen):
    """A metric before and now, over the images of the subjects that both runs have."""

    metric: str
    before: FiniteFloat
    now: FiniteFloat
    difference: FiniteFloat
    tolerance: float = Field(ge=0)
    moved: bool


class Held(Frozen):
    """A run held against its row."""

    name: Name
    method: Name
    run: str
    row: str
    n_subjects: int
    n_images: int
    changed_images: int
    """How many have other bytes."""
    settings: tuple[str, ...]
    """What the run was made with that the row was not, in words."""
    numbers: tuple[Number, ...]


class Judged(Frozen):
    """An ordering, and the difference of the means of its sides."""

    ordering: Ordering
    difference: FiniteFloat
    holds: bool


class Outcome(Frozen):
    """What a check came to."""

    suite: str
    runs: tuple[Held, ...]
    orderings: tuple[Judged, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing has moved and every ordering holds."""
        still = not any(number.moved for run in self.runs for number in run.numbers)
        return still and all(judged.holds for judged in self.orderings)


@dataclass(frozen=True)
class Asked:
    """Which runs to make, on what, and the rows that they are held against."""

    suite: Suite
    names: Sequence[str]
    rows: Sequence[Measured]
    limit_subjects: int | None = None


def ask(
    suite: str,
    expected: Expected,
    methods: Sequence[str] = (),
    baseline: Path | None = None,
    limit_subjects: int | None = None,
) -> Asked:
    """The check of a suite; ``methods`` name runs of ``expected``, or methods. Default: all runs.

    The rows are those at or below ``baseline``, then those of the suite's board. UserError when
    there is nothing to run, and for an unknown suite or a baseline without rows.
    """
    asked = load_suite(suite)
    names = tuple(dict.fromkeys(methods)) or expected.names
    if not names:
        raise UserError(f"Nothing says what to run on {asked.key}: name methods by --methods.")
    rows = [*_rows_below(baseline), *read_board(board_of(asked))]
    return Asked(asked, names, rows, limit_subjects)


def _rows_below(baseline: Path | None) -> list[Measured]:
    if baseline is None:
        return []
    folder = baseline.parent if baseline.name == RESULT_FILE else baseline
    found = [read_measured(path.parent) for path in sorted(folder.rglob(RESULT_FILE))]
    if not found:
        raise UserError(
            f"There is no {RESULT_FILE} at or below {baseline}; give a finished run, or a folder "
            "that 'bench board add RUN --boards DIR' has written."
        )
    return found


def _no_bars() -> AbstractContextManager[Progress]:
    return nullcontext(silent)


def check(asked: Asked, expected: Expected, out: Path, bars: Bars = _no_bars) -> Outcome:
    """Make every run under ``out``, hold it against its row, and judge the orderings of the runs.

    Runs that are finished there are taken as they are, nothing else of earlier work is. UserError,
    before anything is run, for a run without a row to hold it against.
    """
    plans = {name: _plan(name, asked, expected) for name in asked.names}
    rows = {name: _row(plan, asked.rows) for name, plan in plans.items()}
    with cache_in(out / "cache"):
        runs = {name: _execute(plan, out / "runs" / name, bars) for name, plan in plans.items()}
    return Outcome(
        suite=asked.suite.key,
        runs=tuple(hold(name, run, rows[name], expected) for name, run in runs.items()),
        orderings=tuple(
            judge(ordering, *_sides(ordering, runs, asked, expected))
            for ordering in expected.orderings
            if {ordering.higher, ordering.lower} & runs.keys()
        ),
    )


def _plan(name: str, asked: Asked, expected: Expected) -> Plan:
    recipe = expected.recipe(name)
    backbone = recipe.backbone or asked.suite.default_backbone
    return make_plan(
        Request(
            method=recipe.method,
            suite=asked.suite.key,
            backbone=recipe.backbone,
            options=recipe.options(backbone),
            guidance=recipe.rule(backbone),
            limit_subjects=asked.limit_subjects,
        )
    )


def _row(plan: Plan, rows: Iterable[Measured]) -> Measured:
    """The row of the same method, asked alike, with the most equal options."""
    fitting = [row for row in rows if _made_of(row.result) == _made_of(plan)]
    if not fitting:
        raise UserError(
            f"No row says what '{plan.method}' came to on {plan.suite.key}, protocol "
            f"{plan.protocol.key}, with {plan.backbone}: run it once, keep the run by 'bench board "
            "add RUN --boards DIR', and give that folder as --baseline."
        )
    return min(fitting, key=lambda row: len(_changes(row.result.options, plan.options)))


def _made_of(made: Plan | RunResult) -> tuple[str, ...]:
    keys = (made.suite, made.protocol)
    named = (key if isinstance(key, str) else key.key for key in keys)
    return (made.method, made.backbone, *named)


def _execute(plan: Plan, folder: Path, bars: Bars) -> Measured:
    from bench.run import execute

    with bars() as progress:
        execute(plan, folder, progress)
    return read_measured(folder)


def hold(name: str, run: Measured, row: Measured, expected: Expected) -> Held:
    """What has changed since ``row`` was measured, over the subjects of both.

    UserError when the two were not asked and scored alike.
    """
    now, before = _alike(run, row)
    old, new = _images(before), _images(now)
    return Held(
        name=name,
        method=run.result.method,
        run=str(run.folder),
        row=str(row.folder),
        n_subjects=len({subject for subject, *_ in new}),
        n_images=len(new),
        changed_images=sum(old.get(key) != digest for key, digest in new.items()),
        settings=tuple(_changes(_settings(row.result), _settings(run.result))),
        numbers=tuple(_number(now, before, metric, expected) for metric in _means(run.result)),
    )


def _alike(one: Measured, other: Measured) -> tuple[Measured, Measured]:
    """Both, with the rows of the subjects that they share."""
    subjects = {row.subject for row in one.rows} & {row.subject for row in other.rows} - {WHOLE_SET}
    if not subjects:
        raise UserError(f"{one.folder} and {other.folder} share no subject; run both on the same.")
    first, second = (
        replace(run, rows=tuple(row for row in run.rows if row.subject in subjects))
        for run in (one, other)
    )
    return first, second


def _images(run: Measured) -> dict[tuple[str, int, int], str]:
    """Digest of the image of each (subject, prompt, seed)."""
    rows = (row for row in run.rows if row.subject != WHOLE_SET)
    return {(row.subject, row.prompt_index, row.seed): row.image_sha256 for row in rows}


def _means(result: RunResult) -> list[str]:
    """Metrics of images: one about a whole set depends on how large it is."""
    return [name for name, told in result.metrics.items() if told.kind != "set"]


def _number(now: Measured, before: Measured, metric: str, expected: Expected) -> Number:
    moved = difference(now, before, metric).difference
    allowed = expected.tolerance(metric, now.result.metrics[metric])
    return Number(
        metric=metric,
        before=_mean(before.values(metric).values()),
        now=_mean(now.values(metric).values()),
        difference=moved,
        tolerance=allowed,
        moved=abs(moved) > allowed,
    )


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return fsum(listed) / len(listed)


def _settings(result: RunResult) -> dict[str, Any]:
    """What a run's images follow from, but for the code."""
    made = {"revision": result.method_revision, "backbone weights": result.backbone_digest}
    return {**made, **result.options}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} {before.get(key)} -> {now.get(key)}"
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    ]


def _sides(
    ordering: Ordering, runs: Mapping[str, Measured], asked: Asked, expected: Expected
) -> tuple[Measured, Measured]:
    higher, lower = (
        runs[name] if name in runs else _row(_plan(name, asked, expected), asked.rows)
        for name in (ordering.higher, ordering.lower)
    )
    return higher, lower


def judge(ordering: Ordering, higher: Measured, lower: Measured) -> Judged:
    """Whether an ordering holds, over the subjects of both sides.

    UserError when the two were not asked and scored alike.
    """
    sides = _alike(higher, lower)
    for side in sides:
        if ordering.metric not in _means(side.result):
            raise UserError(
                f"{side.folder} has no means of {ordering.metric}, and so cannot tell whether "
                f"{ordering.words}; leave that ordering out."
            )
    found = difference(*sides, ordering.metric).difference
    return Judged(ordering=ordering, difference=found, holds=found > 0 and found >= ordering.by)
