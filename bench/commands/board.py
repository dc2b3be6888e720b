"""`bench board`: build, check, add."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import say
from bench.errors import UserError

app = typer.Typer(help="Leaderboards: build, check, add a run.", no_args_is_help=True)
Boards = Annotated[
    Path | None, typer.Option("--boards", help="Folder of the leaderboards; default: the shipped.")
]


@app.command("build")
def build_boards(boards: Boards = None) -> None:
    """Write every board's README.md from its measured rows."""
    from bench.board import build
    from bench.paths import leaderboards_folder

    for path in build(boards or leaderboards_folder()):
        say(f"wrote {path}")


@app.command("check")
def check_boards(boards: Boards = None) -> None:
    """Fail when a board is stale or a row does not validate."""
    from bench.board import check
    from bench.paths import leaderboards_folder

    problems = check(boards or leaderboards_folder())
    if problems:
        raise UserError("\nbench: ".join(problems))
    say("Every board follows from its rows.")


@app.command("add")
def add_run(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    allow_limited: Annotated[
        bool, typer.Option("--allow-limited", help="List a partial run, unranked.")
    ] = False,
    boards: Boards = None,
) -> None:
    """Copy a finished run's rows to its board."""
    from bench.board import add_row
    from bench.paths import leaderboards_folder

    place = add_row(run_folder, boards or leaderboards_folder(), allow_limited)
    say(f"added {place}; now run `bench board build`")
