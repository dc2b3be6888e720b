"""Commands that look: list, doctor."""

from textwrap import fill
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import unknown

WIDTH, INDENT = 96, " " * 4
"""Of definitions, which are longer than a line."""


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
