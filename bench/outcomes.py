"""What reproducing a published table came to, as data and as Markdown that follows from it.

A board keeps both in ``<suite>/<version>/reproduced/<paper>-<table>``, ``.json`` and ``.md``, and
``.svg`` for a table that is drawn.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from bench.api import Frozen
from bench.curves import Drawing, drawing, is_of, write_curve
from bench.errors import UserError
from bench.markup import in_cell, in_markdown, in_note
from bench.papers import Claim, PublishedRow, PublishedTable, load_table
from bench.results import Aggregate, Digest, RunResult
from bench.standings import MINI
from bench.stats import Paired
from bench.store import write_atomically

REPRODUCED = "reproduced"
"""The folder of a board's reproduced tables."""

Verdict = Literal["holds", "contradicted", "undecided", "not judged"]
PARTIAL = "Partial: fewer subjects or seeds than the protocol asks for; its verdicts mean nothing."
ADDED = "added here"
"""Said of a row that the paper does not have."""
EXPLAINED = """\
Written by `bench reproduce` from the outcome beside it; do not edit. Each metric has two columns:
what the paper prints, and what was measured here as the mean over images with its 95 % interval
over subjects. A claim about two rows holds, or is contradicted, when the 95 % interval of their
paired difference lies whole on one side of 0, else it is undecided; that two rows are equal is
contradicted or undecided, never proven."""


class RowOutcome(Frozen):
    """The run that stands for a published row, or why there is none."""

    label: str
    run: Digest | None = None
    """Identity of the run; rows of one specification share it."""
    failed: bool = False
    """Whether it was to be run and could not be."""
    why: str = ""


class ClaimOutcome(Frozen):
    """What the two runs say of a claim."""

    id: str
    verdict: Verdict
    difference: Paired | None = None
    """Of the first side over the second."""
    why: str = ""


class Outcome(BaseModel):
    """A reproduced table: rows and claims in the order of the published ones.

    Published figures are copies: the paper's own file stays as it is.
    """

    model_config = Frozen.model_config

    schema_version: Literal[1] = 1
    table: PublishedTable
    suite: str
    backbone: str
    rows: tuple[RowOutcome, ...]
    claims: tuple[ClaimOutcome, ...]
    runs: dict[Digest, RunResult]
    """By identity, with options, environment, date and every number's definition."""

    @property
    def mini_weights(self) -> bool:
        return any(run.mini_weights for run in self.runs.values())

    @property
    def limited(self) -> bool:
        return any(run.limited for run in self.runs.values())

    @property
    def warnings(self) -> list[str]:
        """What has to be said before any number."""
        return [MINI] * self.mini_weights + [PARTIAL] * self.limited

    @property
    def failures(self) -> list[str]:
        """Each reason why a row could not be run, once."""
        return list(dict.fromkeys(row.why for row in self.rows if row.failed))

    def measured(self, row: RowOutcome) -> RunResult | None:
        """The run that stands for a row."""
        return self.runs[row.run] if row.run else None

    @property
    def drawing(self) -> Drawing | None:
        """The table's sweeps, where it is drawn."""
        return drawing(self.table, self.shown, self.where)

    @property
    def shown(self) -> dict[str, dict[str, Aggregate]]:
        """Label of every row that was run to its metrics."""
        return {row.label: self.runs[row.run].metrics for row in self.rows if row.run}

    @property
    def where(self) -> str:
        """What the rows were measured on, and what limits them."""
        limits = [*["mini weights"] * self.mini_weights, *["partial"] * self.limited]
        return ", ".join([self.suite, *limits])


def place(outcome: Outcome, leaderboards: Path) -> Path | None:
    """The folder among the leaderboards that an outcome belongs in; None for a limited one."""
    board = leaderboards.joinpath(*outcome.suite.split("@"))
    return None if outcome.limited else board / REPRODUCED


def write_outcome(outcome: Outcome, folder: Path) -> Path:
    """Write ``<paper>-<table>.json``, ``.md`` and, of one that is drawn, ``.svg``.

    Returns the first.
    """
    path = folder / f"{outcome.table.paper}-{outcome.table.id}.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, outcome.model_dump_json(indent=2) + "\n")
    write_page(path)
    return path


def read_outcome(path: Path) -> Outcome:
    """Read an outcome. UserError naming the first field that is wrong."""
    try:
        return Outcome.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; reproduce it again.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} is no outcome: {where}: {first['msg']}.") from error


def outcomes_of(board: Path) -> list[Path]:
    """The outcomes that a board keeps."""
    return sorted((board / REPRODUCED).glob("*.json"))


def write_page(path: Path) -> Path:
    """Write the Markdown of an outcome, and its drawing, beside it; returns the former."""
    outcome, page = read_outcome(path), path.with_suffix(".md")
    write_atomically(page, markdown(outcome))
    if told := outcome.drawing:
        write_curve(told, path.with_suffix(".svg"))
    return page


def problems_of(board: Path) -> Iterator[str]:
    """What is wrong with a board's reproduced tables, one sentence each."""
    for path in outcomes_of(board):
        try:
            outcome = read_outcome(path)
            published = load_table(outcome.table.key)
        except UserError as error:
            yield str(error)
            continue
        if outcome.table.substance != published.substance:
            yield f"{path}: the published table has changed since; reproduce it again"
        page = path.with_suffix(".md")
        if not page.is_file() or page.read_bytes() != markdown(outcome).encode():
            yield f"{page} is stale: run 'bench board build'"
        if (told := outcome.drawing) and not is_of(path.with_suffix(".svg"), told):
            yield f"{path.with_suffix('.svg')} is stale: run 'bench board build'"


def markdown(outcome: Outcome) -> str:
    """The page of an outcome: the same bytes for the same outcome."""
    table = outcome.table
    blocks = [f"# {in_cell(f'{table.key} on {outcome.suite}: {table.title}')}", EXPLAINED]
    blocks += [f"**{warning}**" for warning in outcome.warnings]
    blocks.append(_grid(header(table), body(outcome)))
    if outcome.drawing:
        blocks.append(f"![{in_markdown(table.title)}]({table.paper}-{table.id}.svg)")
    if outcome.claims:
        blocks += ["## Claims", _grid(CLAIM_HEADER, verdicts(outcome))]
    blocks += ["## Rows and runs", "\n".join(f"- {in_note(line)}" for line in notes(outcome))]
    return "\n\n".join(blocks) + "\n"


CLAIM_HEADER = ("claim", "metric", "the paper's rows", "difference", "verdict")


def header(table: PublishedTable) -> list[str]:
    """A column for the row, and two for each metric."""
    heads = (
        f"{told.head}, {side}" for told in table.metrics.values() for side in ("paper", "here")
    )
    return ["row", *heads]


def body(outcome: Outcome) -> list[list[str]]:
    """The cells of every row, published beside measured."""
    pairs = zip(outcome.table.rows, outcome.rows, strict=True)
    return [_cells(outcome.table, row, outcome.measured(done)) for row, done in pairs]


def _cells(table: PublishedTable, row: PublishedRow, run: RunResult | None) -> list[str]:
    cells = [row.label if row.published else f"{row.label} ({ADDED})"]
    values = row.values or ("-",) * len(table.metrics)
    for (name, metric), value in zip(table.metrics.items(), values, strict=True):
        cells += [metric.printed(value), _measured(run, name, max(metric.digits, 3))]
    return cells


def _measured(run: RunResult | None, metric: str, digits: int) -> str:
    told = run.metrics.get(metric) if run else None
    if told is None:
        return "-"
    return f"{told.mean:.{digits}f} [{_ends(told.ci95, f'.{digits}f')}]"


def _ends(interval: tuple[float, float] | None, form: str) -> str:
    return ", ".join(f"{end:{form}}" for end in interval) if interval else "no interval"


def verdicts(outcome: Outcome) -> list[list[str]]:
    """The cells of every claim: its words, metric, rows, their difference and the verdict."""
    pairs = zip(outcome.table.claims, outcome.claims, strict=True)
    return [_claim_cells(claim, judged) for claim, judged in pairs]


def _claim_cells(claim: Claim, judged: ClaimOutcome) -> list[str]:
    difference = judged.difference
    one, other = claim.sides
    rows = f"{one} {'=' if claim.equal else '>'} {other}"
    told = judged.why or "-"
    if difference is not None:
        told = f"{difference.difference:+.3f} [{_ends(difference.ci95, '+.3f')}]"
    return [claim.words, claim.metric, rows, told, judged.verdict]


def notes(outcome: Outcome) -> Iterator[str]:
    """What is known of every row, and of the table."""
    for published, row in zip(outcome.table.rows, outcome.rows, strict=True):
        said = [f"copied from {published.copied_from}"] if published.copied_from else []
        said += [published.note] if published.note else []
        said += [] if published.published else [f"{ADDED}: the paper has no such row"]
        yield "; ".join(
            [f"{published.label}: {_how(published, row, outcome.measured(row))}", *said]
        )
    if outcome.table.note:
        yield outcome.table.note


def _how(published: PublishedRow, row: RowOutcome, run: RunResult | None) -> str:
    if run is None or published.run is None:
        return row.why
    told = run.environment
    made = f"subjectbench {told.subjectbench}, torch {told.packages.get('torch', 'unknown')}"
    return (
        f"`{published.run.words(run.backbone)}` r{run.method_revision} on {run.backbone}, protocol "
        f"{run.protocol}, run {run.identity[:12]} of {run.date}, {told.device} {told.dtype}, {made}"
    )


def _grid(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [list(head), ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(in_cell, row))} |" for row in rows)
