"""What stands on a board's page: sections as tables, every row with its particulars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.board import key_of, read_board
from bench.names import row_names
from bench.outcomes import (
    CLAIM_HEADER,
    Outcome,
    body,
    header,
    notes,
    outcomes_of,
    read_outcome,
    verdicts,
)
from bench.ranks import Span
from bench.results import Aggregate, RunResult
from bench.revisions import Stood, line
from bench.site.plots import Bar, Scale, Tradeoff, bar, cell_scale, tradeoffs
from bench.standings import (
    Section,
    anchor_notes,
    beyond,
    footnotes,
    lines_of,
    oracle_of,
    sections,
)
from bench.suites import load_suite

History = Mapping[tuple[str, ...], Sequence[Stood]]


@dataclass(frozen=True)
class Number:
    """A metric's cell."""

    told: Aggregate
    drawn: Bar
    above: bool
    """Whether it lies beyond the oracle's."""


@dataclass(frozen=True)
class Entry:
    """A row of a table."""

    result: RunResult
    name: str
    kind: str
    """``ranked``, ``anchor`` or ``partial``."""
    span: Span | None
    drawn: Bar | None
    """Its span of ranks."""
    numbers: dict[str, Number]
    history: Sequence[Stood]

    @property
    def anchor(self) -> str:
        """Where its particulars stand on the page."""
        return f"run-{self.result.identity[:12]}"


@dataclass(frozen=True)
class Shown:
    """A section as it is shown."""

    protocol: str
    metrics: dict[str, Aggregate]
    entries: list[Entry]
    tradeoffs: list[Tradeoff]
    notes: list[str]


@dataclass(frozen=True)
class Reproduced:
    """A reproduced table as it is shown."""

    outcome: Outcome
    page: str
    curve: Path | None

    @property
    def header(self) -> list[str]:
        return header(self.outcome.table)

    @property
    def body(self) -> list[list[str]]:
        return body(self.outcome)

    @property
    def claims(self) -> list[list[str]]:
        return verdicts(self.outcome)

    @property
    def claim_header(self) -> tuple[str, ...]:
        return CLAIM_HEADER

    @property
    def notes(self) -> list[str]:
        return [note.replace("`", "") for note in notes(self.outcome)]

    @property
    def tally(self) -> str:
        """How many claims have which verdict."""
        found = [claim.verdict for claim in self.outcome.claims]
        return ", ".join(f"{found.count(v)} {v}" for v in dict.fromkeys(found)) or "no claims"


@dataclass(frozen=True)
class Board:
    """A board as it is shown."""

    key: str
    title: str
    page: str
    sections: list[Shown]
    reproduced: list[Reproduced]

    @property
    def entries(self) -> list[Entry]:
        return [entry for section in self.sections for entry in section.entries]


def board_of(folder: Path, history: History) -> Board:
    """A board, read. UserError for a row or an outcome that cannot be read."""
    key = key_of(folder)
    name = key.replace("@", "-")
    return Board(
        key=key,
        title=load_suite(key).title,
        page=f"board-{name}.html",
        sections=[_shown(section, history) for section in sections(read_board(folder))],
        reproduced=[_reproduced(path, name) for path in outcomes_of(folder)],
    )


def _shown(section: Section, history: History) -> Shown:
    lines = lines_of(section)
    metrics = section.example.metrics
    # Anchors lie so far away that beside them the methods' intervals could not be seen.
    measured = [result for _, result in section.ranked] or [result for _, result in lines]
    scales = {name: cell_scale([run.metrics[name] for run in measured]) for name in metrics}
    ranks = Scale(0.5, len(section.ranked) + 0.5, 2, 46)
    spans = {result.identity: span for span, result in section.ranked}
    oracle = oracle_of(lines)
    names = row_names([result for _, result in lines])
    entries = [
        Entry(
            result=result,
            name=name,
            kind="ranked" if result.identity in spans else "partial" if rank else "anchor",
            span=(span := spans.get(result.identity)),
            drawn=_ranked(span, ranks) if span else None,
            numbers=_numbers(result, scales, beyond(result, oracle)),
            history=history.get(line(result), ()),
        )
        for (rank, result), name in zip(lines, names, strict=True)
    ]
    told = [*footnotes(section.example), *anchor_notes(lines)]
    return Shown(section.example.protocol, metrics, entries, tradeoffs(section), told)


def _ranked(span: Span, scale: Scale) -> Bar:
    left, right = scale(span.first - 0.5), scale(span.last + 0.5)
    return Bar(left, (left + right) / 2, right)


def _numbers(result: RunResult, scales: Mapping[str, Scale], above: set[str]) -> dict[str, Number]:
    return {
        name: Number(told, bar(told, scales[name]), name in above)
        for name, told in result.metrics.items()
    }


def _reproduced(path: Path, board: str) -> Reproduced:
    curve = path.with_suffix(".svg")
    return Reproduced(
        outcome=read_outcome(path),
        page=f"outcome-{board}-{path.stem}.html",
        curve=curve if curve.is_file() else None,
    )
