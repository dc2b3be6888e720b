"""`bench board`: build, check, add, diff, site."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

app = typer.Typer(help="Leaderboards: build, check, add a run, diff, site.", no_args_is_help=True)
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
    """Fail when a board is stale, a row does not validate or its scores change unexplained."""
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
    from bench.paths import leaderboards_folder
    from bench.submit import add_row

    place = add_row(run_folder, boards or leaderboards_folder(), allow_limited)
    say(f"added {place}; now run `bench board build`")


@app.command("diff")
def diff_boards(
    revision: Annotated[str, typer.Argument(metavar="REV", help="Commit, branch or tag of git.")],
    boards: Boards = None,
    as_json: Json = False,
) -> None:
    """Say what became of the boards' rows since a git revision."""
    from bench.board import read_boards
    from bench.paths import leaderboards_folder
    from bench.revisions import as_document, changes, read_at, sentence

    folder = boards or leaderboards_folder()
    found = changes(read_at(folder, revision), read_boards(folder))
    if as_json:
        print_json([as_document(change) for change in found])
        return
    for change in found:
        say(sentence(change))
    if not found:
        say(f"No row of any board has changed since {revision}.")


@app.command("site")
def write_pages(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the site.")],
    boards: Boards = None,
) -> None:
    """Write the boards, published tables and reproduced ones as a site that opens from disk."""
    from bench.paths import leaderboards_folder
    from bench.site import write_site

    say(f"wrote {write_site(boards or leaderboards_folder(), out)}")
