"""`bench reproduce`: a published table beside what is measured here, and its claims."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.outcomes import Outcome, RowOutcome
    from bench.papers import PublishedTable
    from bench.reproduce import Asked, Planned


WIDE = 160
"""Columns of a table that goes to a file, where nothing has to be folded."""


def reproduce(
    table: Annotated[
        str | None, typer.Argument(metavar="PAPER/TABLE", help="As --list names it.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Suite to run on; default: the table's.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Generator of every row; default: the row's, or the suite's.")
    ] = None,
    limit_subjects: Annotated[
        int | None, typer.Option(help="Only the first N subjects; the verdicts mean nothing then.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Images per prompt; default: the protocol's.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the outcome; default: the suite's board, for full runs."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Every table of every paper.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run.")] = False,
    as_json: Json = False,
) -> None:
    """Run the rows of a published table, put them beside its figures and judge its claims."""
    from bench.papers import load_table
    from bench.reproduce import Asked

    if list_:
        _list(as_json)
        return
    if table is None:
        raise UserError("Name a table as PAPER/TABLE; 'bench reproduce --list' names all.")
    published = load_table(table)
    asked = Asked(suite=suite, backbone=backbone, limit_subjects=limit_subjects, seeds=seeds)
    if dry_run:
        _show_plan(published, asked, as_json)
        return
    _reproduce(published, asked, out, as_json)


def _list(as_json: bool) -> None:
    from bench.papers import list_papers

    tables = [
        {
            "table": table.key,
            "title": table.title,
            "suite": table.suite,
            "rows": sum(row.published for row in table.rows),
            "run_here": sum(row.published for row in table.runnable),
            "added_here": sum(not row.published for row in table.rows),
            "command": table.command,
            "claims": len(table.claims),
        }
        for paper in list_papers()
        for table in paper.tables
    ]
    if as_json:
        print_json(tables)
        return
    for told in tables:
        added = f", {told['added_here']} added" if told["added_here"] else ""
        here = told["command"] or f"{told['run_here']} of {told['rows']} rows run{added}"
        counts = f"here: {here}; {told['claims']} claims"
        say(f"{told['table']:<14} {told['title']} ({counts})")


def _show_plan(table: "PublishedTable", asked: "Asked", as_json: bool) -> None:
    from bench.reproduce import plan_rows

    planned = plan_rows(table, asked)
    plans = {one.plan.identity: one.plan for one in planned if one.plan}
    images = sum(len(plan.cases) for plan in plans.values())
    if as_json:
        rows = [_plan_of(one) for one in planned]
        print_json({"table": table.key, "rows": rows, "n_runs": len(plans), "n_images": images})
        return
    for one in planned:
        recipe = one.row.run
        words = recipe.words(one.plan.backbone) if one.plan and recipe else one.why
        say(f"{one.row.label:<28} {words}")
    say(f"{len(plans)} runs, {images} images")


def _plan_of(one: "Planned") -> dict[str, Any]:
    plan = one.plan
    if plan is None:
        return {"row": one.row.label, "why": one.why}
    return {
        "row": one.row.label,
        "method": plan.method,
        "backbone": plan.backbone,
        "suite": plan.suite.key,
        "protocol": plan.protocol.key,
        "options": plan.options,
        "n_images": len(plan.cases),
    }


def _reproduce(table: "PublishedTable", asked: "Asked", out: Path | None, as_json: bool) -> None:
    from bench.outcomes import place, write_outcome
    from bench.paths import leaderboards_folder
    from bench.reproduce import reproduce as run_all
    from bench.terminal import progress_bars

    outcome = run_all(table, asked, progress_bars, _tell)
    if as_json:
        print_json(outcome.model_dump(mode="json"))
    else:
        _show(outcome)
    if outcome.runs and (folder := out or place(outcome, leaderboards_folder())):
        written = write_outcome(outcome, folder)
        if not as_json:
            beside = [".md", *([".svg"] if outcome.drawing else [])]
            names = " and ".join(written.with_suffix(suffix).name for suffix in beside)
            say(f"Written: {written}, {names}")
    if outcome.failures:
        raise UserError(" ".join(outcome.failures))


def _tell(row: "RowOutcome") -> None:
    from bench.terminal import stderr

    if stderr.is_terminal:
        stderr.print(
            f"{row.label}: {row.why or 'done'}", soft_wrap=True, markup=False, highlight=False
        )


def _show(outcome: "Outcome") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from bench.outcomes import body, header, verdicts
    from bench.terminal import stdout

    title = f"{outcome.table.key} on {outcome.suite}: {outcome.table.title}"
    for warning in outcome.warnings:
        stdout.print(warning, style="bold", soft_wrap=True)
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    for number, head in enumerate(header(outcome.table)):
        table.add_column(head.replace(", ", "\n"), no_wrap=number > 0, overflow="fold")
    for cells in body(outcome):
        table.add_row(*(Text(cell.replace(" [", "\n[")) for cell in cells))
    stdout.print(table, width=None if stdout.is_terminal else WIDE)
    for row in outcome.rows:
        if row.why:
            say(f"{row.label}: {row.why}")
    for words, metric, rows, told, verdict in verdicts(outcome):
        say(f"{verdict.upper():<12} {words}: {rows} in {metric} ({told})")
