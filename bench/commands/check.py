"""`bench check`: methods run again, and what has moved since their rows were measured."""

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.output import Json, print_json, say

if TYPE_CHECKING:
    from bench.check import Asked, Held, Outcome
    from bench.expected import Expected

MOVED = 1
"""Exit code of a check that found something; 2 is for what the user can mend."""


def check(
    suite: Annotated[str, typer.Option(help="Suite, NAME or NAME@VERSION.")] = "mini",
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Runs of the check file, or methods; default: its runs."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Rows of your own, at or below this path; then the suite's board."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Runs, tolerances and orderings; default: those of the suite's board."),
    ] = None,
    limit_subjects: Annotated[int | None, typer.Option(help="Only the first N subjects.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Keep the runs here, and take those finished here; default: run anew."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run methods again and hold them against measured rows; exit code 1 when something moved."""
    from bench.check import ask
    from bench.expected import expected_of, read_expected
    from bench.suites import load_suite

    expected = read_expected(file) if file else expected_of(load_suite(suite))
    named = [name.strip() for name in (methods or "").split(",") if name.strip()]
    outcome = _check(ask(suite, expected, named, baseline, limit_subjects), expected, out)
    if as_json:
        print_json({"passed": outcome.passed, **outcome.model_dump(mode="json")})
    else:
        _show(outcome)
    if not outcome.passed:
        raise typer.Exit(MOVED)


def _check(asked: "Asked", expected: "Expected", out: Path | None) -> "Outcome":
    from bench.check import check as run_all
    from bench.terminal import progress_bars

    with nullcontext(str(out)) if out else TemporaryDirectory(prefix="bench-check-") as folder:
        return run_all(asked, expected, Path(folder), progress_bars)


def _show(outcome: "Outcome") -> None:
    from rich import box
    from rich.table import Table

    from bench.terminal import stdout

    table = Table("run", "metric", "before", "now", "moved by", "allowed", "", box=box.SIMPLE_HEAD)
    for run in outcome.runs:
        for number in run.numbers:
            table.add_row(
                run.name,
                number.metric,
                f"{number.before:.4f}",
                f"{number.now:.4f}",
                f"{round(number.difference, 4) + 0:+.4f}",
                f"{number.tolerance:g}",
                "MOVED" if number.moved else "",
                style="bold" if number.moved else None,
            )
    stdout.print(table)
    for run in outcome.runs:
        _say_changes(run)
    for judged in outcome.orderings:
        verdict = "holds" if judged.holds else "BROKEN"
        say(f"{verdict:<7} {judged.ordering.words} (by {judged.difference:.4f})")
    say(_summary(outcome))


def _say_changes(run: "Held") -> None:
    say(f"{run.name}: {run.changed_images or 'none'} of {run.n_images} images changed")
    for setting in run.settings:
        say(f"{run.name}: {setting}")


def _summary(outcome: "Outcome") -> str:
    numbers = [number.moved for run in outcome.runs for number in run.numbers]
    broken = [not judged.holds for judged in outcome.orderings]
    return (
        f"{outcome.suite}: {sum(numbers)} of {len(numbers)} numbers moved, "
        f"{sum(broken)} of {len(broken)} orderings broken."
    )
