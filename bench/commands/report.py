"""`bench report`: finished runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import say


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs on one suite.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder of the report.")],
    link: Annotated[
        bool, typer.Option("--link", help="Refer to the runs' images instead of keeping them.")
    ] = False,
) -> None:
    """A site of images side by side, with figures and tables for papers; needs no server."""
    from bench.report.write import write_report
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        page = write_report(runs, out, link, progress)
    say(f"Open {page}; figures and tables for papers lie beside it.")
