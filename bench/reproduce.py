"""Reproducing a published table: run its rows, put them beside the figures, judge its claims."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from bench import registry
from bench.api import Frozen, Progress, silent
from bench.compare import difference
from bench.errors import UserError
from bench.outcomes import ClaimOutcome, Outcome, RowOutcome, Verdict
from bench.papers import Claim, PublishedRow, PublishedTable, Recipe
from bench.plan import Plan, Request, make_plan
from bench.results import Measured, read_measured
from bench.stats import Paired
from bench.suites import Suite, load_suite

Bars = Callable[[], AbstractContextManager[Progress]]
Told = Callable[[RowOutcome], None]
Runs = dict[str, Measured]
"""Identity of a plan to its finished run."""


class Asked(Frozen):
    """What a table is run on; None stands for the table's, or the suite's, own choice."""

    suite: str | None = None
    backbone: str | None = None
    limit_subjects: int | None = None
    seeds: int | None = None


class Planned(Frozen):
    """A row with what is to be done for it, or why nothing is."""

    row: PublishedRow
    plan: Plan | None = None
    failed: bool = False
    why: str = ""


def reproduce(
    table: PublishedTable,
    asked: Asked,
    bars: Bars = lambda: nullcontext(silent),
    told: Told = lambda row: None,
) -> Outcome:
    """Run every row that can be, and judge the table's claims.

    Finished runs are taken as they are and killed ones go on. A row that cannot be run says why in
    the outcome, and the others are run nevertheless; ``told`` hears of each row as it is done.
    UserError when the suite is unknown or no row of the table is run here.
    """
    runs: Runs = {}
    rows: list[RowOutcome] = []
    measured: dict[str, Measured] = {}
    for planned in plan_rows(table, asked):
        row = _run(planned, runs, bars)
        rows.append(row)
        if planned.plan and row.run:
            measured[row.label] = runs[planned.plan.identity]
        told(row)
    suite = _suite(table, asked)
    return Outcome(
        table=table,
        suite=suite.key,
        backbone=asked.backbone or suite.default_backbone,
        rows=tuple(rows),
        claims=tuple(judge(claim, measured) for claim in table.claims),
        runs={run.result.identity: run.result for run in runs.values()},
    )


def plan_rows(table: PublishedTable, asked: Asked) -> list[Planned]:
    """What is to be done for every row; nothing is loaded or run.

    UserError when the suite is unknown or no row of the table is run here.
    """
    if not table.runnable:
        instead = f"run '{table.command}'" if table.command else "see 'bench reproduce --list'"
        raise UserError(f"No row of {table.key} is run on a benchmark; {instead}.")
    suite = _suite(table, asked)
    return [_planned(row, table, suite, asked) for row in table.rows]


def _planned(row: PublishedRow, table: PublishedTable, suite: Suite, asked: Asked) -> Planned:
    if row.run is None:
        return Planned(row=row, why="not run here")
    if row.run.method not in registry.names("method"):
        return Planned(row=row, why=f"not run here: no method '{row.run.method}'")
    try:
        return Planned(row=row, plan=make_plan(_request(row.run, table, suite, asked)))
    except UserError as error:
        return Planned(row=row, failed=True, why=str(error))


def _request(recipe: Recipe, table: PublishedTable, suite: Suite, asked: Asked) -> Request:
    """The paper's backbones and protocol belong to its own suite: others have their own."""
    own = suite.name == (table.suite or "").partition("@")[0]
    backbone = asked.backbone or (recipe.backbone if own else None)
    needed = getattr(registry.load("method", recipe.method), "needs_backbone", True)
    return Request(
        method=recipe.method,
        suite=suite.key,
        protocol=table.protocol if own and backbone != "mini" else None,
        backbone=backbone if needed else None,
        options=recipe.options(backbone or suite.default_backbone),
        guidance=recipe.rule(backbone or suite.default_backbone),
        limit_subjects=asked.limit_subjects,
        seeds=asked.seeds,
    )


def _suite(table: PublishedTable, asked: Asked) -> Suite:
    wanted = asked.suite or table.suite
    if wanted is None:
        raise UserError(f"{table.key} was measured on no suite that is here; name one by --suite.")
    return load_suite(wanted)


def _run(planned: Planned, runs: Runs, bars: Bars) -> RowOutcome:
    """The row's run, unless an earlier row made the same."""
    plan, row = planned.plan, planned.row
    if plan is None:
        return RowOutcome(label=row.label, failed=planned.failed, why=planned.why)
    if plan.identity not in runs:
        try:
            runs[plan.identity] = read_measured(_execute(plan, bars))
        except UserError as error:
            return RowOutcome(label=row.label, failed=True, why=str(error))
    return RowOutcome(label=row.label, run=runs[plan.identity].result.identity)


def _execute(plan: Plan, bars: Bars) -> Path:
    from bench.run import execute

    with bars() as progress:
        folder, _ = execute(plan, None, progress)
    return folder


def judge(claim: Claim, measured: Mapping[str, Measured]) -> ClaimOutcome:
    """What the runs of a claim's two rows say of it, or why they cannot.

    ``measured`` maps the labels of the rows that were run to their runs.
    """
    for label in claim.sides:
        if label not in measured:
            return _not_judged(claim, f"'{label}' was not run")
        if claim.metric not in (result := measured[label].result).metrics:
            return _not_judged(claim, f"the protocol {result.protocol} has no {claim.metric}")
    one, other = (measured[label] for label in claim.sides)
    if one.result.identity == other.result.identity:
        return _not_judged(claim, "both rows are the same run")
    try:
        found = difference(one, other, claim.metric)
    except UserError as error:
        return _not_judged(claim, str(error))
    return ClaimOutcome(id=claim.id, verdict=verdict(claim, found), difference=found)


def _not_judged(claim: Claim, why: str) -> ClaimOutcome:
    return ClaimOutcome(id=claim.id, verdict="not judged", why=why)


def verdict(claim: Claim, found: Paired) -> Verdict:
    """What a paired difference of the claim's sides says of it at 95 %.

    An ordering holds when the whole interval lies on the claimed side of 0, is contradicted when it
    lies on the other, and is undecided else, or without an interval. That two rows are equal is
    contradicted when the interval leaves out 0 and else undecided: no interval proves it.
    """
    if found.ci95 is None or not found.separable:
        return "undecided"
    low, _ = found.ci95
    return "holds" if low > 0 and not claim.equal else "contradicted"
