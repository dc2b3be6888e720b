"""`bench show`: one thing in full."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say

app = typer.Typer(help="One thing in full: a method's card.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """One thing in full."""


@app.command("method")
def show_method(
    name: Annotated[str, typer.Argument(help="See `bench list methods`.")], as_json: Json = False
) -> None:
    """A method's options, what its source says of them, and what it leaves open."""
    from bench.cards import method_card

    told = method_card(name)
    if as_json:
        print_json(asdict(told))
        return
    say(f"{told.name} (revision {told.revision}, trained per {told.scope})")
    say(f"\n{told.what}\n")
    rows = [(one.name, one.default, one.elsewhere, one.what) for one in told.options]
    _table(("option", "default", "on a backbone", "what it is"), rows)
    if told.card:
        say(f"\nSource: {told.card.source}")
        _pairs("stated by it", "where and how", told.card.stated)
        _pairs("left open", "what is done here, and why", told.card.choices)
        if told.card.notes:
            say(f"\n{told.card.notes}")


def _pairs(title: str, told: str, entries: Mapping[str, str]) -> None:
    say("")
    _table((title, told), list(entries.items()))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    from bench.terminal import stdout

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[cell.replace("[", r"\[") for cell in row])
    stdout.print(table)
