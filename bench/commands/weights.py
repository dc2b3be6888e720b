"""`bench weights`: list, fetch, add, verify."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

app = typer.Typer(
    help="Weights of encoders, backbones and detectors: list, fetch, add, verify.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name in 'bench weights list'.")]


@app.command("list")
def list_weights(as_json: Json = False) -> None:
    """Where all weights come from, their size and licence, and whether they are here."""
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Column, Table

    from bench.terminal import stdout

    columns = (Column("name", no_wrap=True), "for", "size", "licence", "here")
    table = Table(*columns, box=SIMPLE, pad_edge=False, collapse_padding=True)
    for row in rows:
        cells = (row[key] for key in ("name", "what", "volume", "licence", "here"))
        table.add_row(*map(escape, cells))
    stdout.print(table)


def _rows() -> list[dict[str, Any]]:
    from bench.sources import SOURCES
    from bench.weights import here

    rows = []
    for known in SOURCES.values():
        path = here(known)
        row = known.model_dump(mode="json", include={"name", "what", "kind", "size", "licence"})
        row |= {"volume": known.volume, "from": known.place.page, "sha256": known.sha256}
        rows.append(row | {"here": "yes" if path else "no", "path": path and str(path)})
    return rows


@app.command("fetch")
def fetch(name: Name) -> None:
    """Download weights from their official place; size and licence are said first."""
    from bench import stock
    from bench.sources import source
    from bench.terminal import progress_bars, stderr
    from bench.weights import here

    known = source(name)
    if here(known) is None:
        say(f"{name}: {known.terms}, from {known.place.page}")
    if not stderr.is_terminal:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    with progress_bars() as progress:
        path = stock.fetch(name, progress)
    say(f"The weights of '{name}' are at {path}.")


@app.command("add")
def add(
    name: Name,
    path: Annotated[Path, typer.Argument(help="Your file or folder.")],
) -> None:
    """Check weights that you have, and keep a copy: a link where the file system allows."""
    from bench import stock
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        added = stock.add(name, path, progress)
    say(f"The weights of '{name}' are at {added}.")


@app.command("verify")
def verify(
    name: Annotated[str | None, typer.Argument(help="Only these weights.")] = None,
) -> None:
    """Hold what is here to its digests; exit code 2 when something is altered or missing."""
    from bench import verification
    from bench.sources import SOURCES
    from bench.terminal import progress_bars
    from bench.weights import here

    names = [name] if name else [known.name for known in SOURCES.values() if here(known)]
    with progress_bars() as progress:
        reports = [verification.verify(each, progress) for each in names]
    for report in reports:
        if report.ok:
            say(report.sentence)
    if spoilt := [report.sentence for report in reports if not report.ok]:
        raise UserError(" ".join(spoilt))
