"""Sweeps along their setting: which charts there are, and where their points lie."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from bench.curves import Curve, Line
from bench.outcomes import Outcome, RowOutcome
from bench.papers import (
    Paper,
    PublishedMetric,
    PublishedRow,
    PublishedTable,
    list_papers,
    load_table,
)
from bench.results import read_result
from bench.site.sweeps import APART, Chart, Side, sides

MakeRun = Callable[..., Path]
SWEPT = {"pg": {*map("table-{}".format, (7, 9, 10, 11, 12, 13))}, "sfo": {"table-b", "table-d"}}
"""The tables that print figures along a number."""


def table(rows: dict[str, float | None], *lines: Line) -> PublishedTable:
    """A table of DINO, in which what has no figure is only run here."""
    return PublishedTable(
        paper="sfo",
        id="made-up",
        title="Made up",
        metrics={"dino": PublishedMetric(label="DINO", digits=3)},
        rows=tuple(
            PublishedRow(label=label, values=() if value is None else (value,))
            for label, value in rows.items()
        ),
        curve=Curve(x="dino", y="dino", lines=lines),
    )


def line(label: str, *rows: str) -> Line:
    return Line(label=label, rows=rows)


def only(shown: list[Side]) -> Chart:
    [side] = shown
    [chart] = side.charts
    return chart


@pytest.mark.parametrize("paper", list_papers(), ids=lambda paper: paper.name)
def test_every_published_sweep_is_drawn_in_every_metric(paper: Paper) -> None:
    drawn = {told.id: [*sides(told, [])] for told in paper.tables}
    assert {name for name, shown in drawn.items() if shown} == SWEPT.get(paper.name, set())
    for told in paper.tables:
        for side in drawn[told.id]:
            assert (side.kind, side.where) == ("published", told.key)
            assert [chart.title for chart in side.charts] == [m.head for m in told.metrics.values()]


def test_a_higher_number_lies_higher_and_a_larger_setting_to_the_right() -> None:
    told = table({"0.0": 0.5, "0.2": 0.4, "0.6": 0.7}, line("PG, by ω", "0.0", "0.2", "0.6"))
    [strand] = only(sides(told, [])).strands
    xs, ys = [dot.x for dot in strand.dots], [dot.y for dot in strand.dots]
    assert xs == sorted(xs) and xs[2] - xs[1] == pytest.approx(2 * (xs[1] - xs[0]), abs=0.2)
    assert ys[1] > ys[0] > ys[2]
    assert strand.name == "PG" and "ω 0.6: 0.7000" in strand.dots[2].about


def test_settings_that_double_are_equally_far_apart() -> None:
    rows = {f"rank {rank}": 0.1 * rank for rank in (4, 8, 16, 32)}
    [strand] = only(sides(table(dict(rows), line("SFO, by rank", *rows)), [])).strands
    steps = [after.x - before.x for before, after in pairwise(strand.dots)]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)


def test_numbers_under_an_axis_keep_apart() -> None:
    rows = {f"{number / 100}": 0.5 for number in range(40)}
    ticks = only(sides(table(dict(rows), line("PG, by ω", *rows)), [])).ticks
    assert len(ticks) > 5
    assert all(after[0] - before[0] >= APART for before, after in pairwise(ticks))


def test_lines_of_one_setting_share_axes_and_others_have_their_own() -> None:
    rows = {"a=1": 0.1, "a=2": 0.2, "b=1": 0.3, "b=2": 0.4, "c=1": 0.5, "c=2": 0.6}
    told = table(
        dict(rows),
        line("A, by ω", "a=1", "a=2"),
        line("B, by λ", "b=1", "b=2"),
        line("C, by ω", "c=1", "c=2"),
    )
    shown = {side.setting: side.names for side in sides(told, [])}
    assert shown == {"ω": [(0, "A"), (2, "C")], "λ": [(1, "B")]}


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ({"0.0": 0.5, "0.5": None}, "PG, by ω"),
        ({"none": 0.5, "some": 0.6}, "PG, by words"),
        ({"0.0": 0.5, "0.5": 0.6}, "PG"),
    ],
    ids=["one figure", "no numbers", "no setting"],
)
def test_what_is_no_sweep_is_not_drawn(rows: dict[str, float | None], label: str) -> None:
    assert sides(table(rows, line(label, *rows)), []) == []


def test_what_was_measured_has_axes_of_its_own_that_hold_its_intervals(make_run: MakeRun) -> None:
    told = load_table("sfo/table-d")
    levels = {"500": 0.2, "1000": 0.3, "2000": 0.4}
    runs = [read_result(make_run(name, level) / "row.json") for name, level in levels.items()]
    outcome = Outcome(
        table=told.model_copy(update={"claims": ()}),
        suite="mini@1",
        backbone="mini",
        rows=tuple(
            RowOutcome(label=row.label, run=run.identity)
            for row, run in zip(told.rows, runs, strict=True)
        ),
        claims=(),
        runs={run.identity: run for run in runs},
    )
    published, measured = sides(told, [outcome])
    assert (published.kind, measured.kind) == ("published", "measured")
    assert measured.where == "mini@1, mini weights"
    assert [chart.title for chart in measured.charts] == ["DINO ↑", "CLIP-T ↑"]
    chart = measured.charts[0]
    assert chart.y.high < 0.7 < published.charts[0].y.high
    ends = [dot.ends for strand in chart.strands for dot in strand.dots]
    assert len(ends) == 3
    assert all(end and chart.y.stop <= end[1] < end[0] <= chart.y.start for end in ends)
