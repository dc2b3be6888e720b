"""`bench correlate`: metrics against people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError, unknown

if TYPE_CHECKING:
    from rich.table import Table

    from bench.correlate import Agreement, Bounded, Overall
    from bench.ratings import Ratings, Values

NOTE = (
    "In brackets: 95 % bootstrap over samples. pairs: share of all pairs of images that people do "
    "not tie and the metric orders alike; the metric's ties count half. people: Spearman of each "
    "rater with the mean of the others: their mean, lowest and highest."
)


def correlate(
    suite: Annotated[str, typer.Option(help="imagenhub-generation or imagenhub-editing.")],
    metric: Annotated[
        str | None, typer.Option(help="One of the published metrics; default: all of them.")
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Your own metric instead: columns uid, model, value."),
    ] = None,
    as_json: Json = False,
) -> None:
    """See how far a metric orders images as people do."""
    from bench.correlate import correlate as against_people
    from bench.correlate import overall
    from bench.ratings import read_ratings, task_of

    task = task_of(suite)
    ratings = read_ratings(task)
    found = {
        name: against_people(ratings, values)
        for name, values in _metrics(task, ratings, metric, scores).items()
    }
    means = overall(ratings)
    if as_json:
        print_json(
            {
                "suite": suite,
                "metrics": {
                    name: [row.model_dump() for row in rows] for name, rows in found.items()
                },
                "people": [row.model_dump() for row in means],
            }
        )
        return
    _draw(found, means)


def _metrics(
    task: str, ratings: "Ratings", metric: str | None, scores: Path | None
) -> "Mapping[str, Values]":
    from bench.ratings import read_published, read_scores

    if scores is not None:
        if metric is not None:
            raise UserError("Give either '--metric' or '--scores': a CSV holds one metric.")
        return {scores.stem: read_scores(scores, ratings)}
    published = read_published(task)
    if metric is None:
        return published
    if metric not in published:
        raise unknown("metric with published values", metric, published)
    return {metric: published[metric]}


def _draw(found: "Mapping[str, Sequence[Agreement]]", means: "Sequence[Overall]") -> None:
    from bench.terminal import stdout

    for name, rows in found.items():
        stdout.print(_table(name, rows))
    say(NOTE)
    stdout.print(_overall(means))


def _table(name: str, rows: "Sequence[Agreement]") -> "Table":
    from rich.table import Table

    table = Table(title=f"{name} against people", title_justify="left")
    for column in ("method", "with"):
        table.add_column(column)
    for column in ("n", "Spearman", "Kendall", "pairs", "people"):
        table.add_column(column, justify="right")
    for row in rows:
        numbers = [_bounded(one) for one in (row.spearman, row.kendall, row.accuracy)]
        table.add_row(row.method, row.aspect, str(row.n), *numbers, _people(row))
    return table


def _overall(means: "Sequence[Overall]") -> "Table":
    from rich.table import Table

    table = Table(title="What people said: means, O of sqrt(SC x PQ)", title_justify="left")
    table.add_column("method")
    for column in ("ratings", "SC", "PQ", "O"):
        table.add_column(column, justify="right")
    for row in means:
        table.add_row(row.method, str(row.n), *(f"{x:.2f}" for x in (row.sc, row.pq, row.o)))
    return table


def _bounded(number: "Bounded | None") -> str:
    if number is None:
        return "-"
    if number.ci95 is None:
        return f"{number.value:.3f}"
    return f"{number.value:.3f}\n({number.ci95[0]:.2f}, {number.ci95[1]:.2f})"


def _people(row: "Agreement") -> str:
    if row.ceiling is None:
        return "-"
    told = [one for one in row.people if one is not None]
    return f"{row.ceiling:.3f}\n({min(told):.2f} to {max(told):.2f})"
