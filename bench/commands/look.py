"""Commands that look: compare, list, doctor."""

from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import unknown

WIDTH, INDENT = 96, " " * 4
"""Of definitions, which are longer than a line."""


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of another on the same suite.")],
    metric: Annotated[str | None, typer.Option(help="Only this metric.")] = None,
    as_json: Json = False,
) -> None:
    """Paired differences A - B with 95 % intervals over subjects."""
    from bench.compare import compare as compare_runs

    found = compare_runs(run_a, run_b, metric)
    if as_json:
        keep = {"difference", "ci95", "p", "n_subjects"}
        print_json({name: p.model_dump(mode="json", include=keep) for name, p in found.items()})
        return
    from rich.table import Table

    from bench.terminal import stdout

    table = Table("metric", "A - B", "95 % interval", "p", "subjects")
    for name, paired in found.items():
        ends = "none" if paired.ci95 is None else "[{:+.4f}, {:+.4f}]".format(*paired.ci95)
        cells = (f"{paired.difference:+.4f}", ends, f"{paired.p:.4f}", str(paired.n_subjects))
        table.add_row(name, *cells)
    stdout.print(table)


def list_things(
    what: Annotated[str, typer.Argument(help="methods, suites, metrics, encoders or backbones")],
    as_json: Json = False,
) -> None:
    """What there is."""
    from bench.listing import LISTS

    if what not in LISTS:
        raise unknown("list", what, LISTS)
    rows = LISTS[what]()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['name']:<26} {row['what']}")
        if "definition" in row:
            say(fill(row["definition"], WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))


def doctor(as_json: Json = False) -> None:
    """What is installed, and which data and weights are here."""
    from bench.doctor import examine

    findings = examine()
    if as_json:
        print_json(findings)
        return
    for name, state in findings.items():
        say(f"{name:<28} {state}")
