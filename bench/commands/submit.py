"""`bench submit` and `bench verify`: a run onto its board, and whether a row holds."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.board import Boards
from bench.commands.output import Json, print_json, say
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.verify import Verified


def submit(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a row that has other scores.")
    ] = False,
    boards: Boards = None,
) -> None:
    """Check a finished run, put it on its board and build the board."""
    from bench.paths import leaderboards_folder
    from bench.submit import submit as put

    place = put(run_folder, boards or leaderboards_folder(), replace)
    say(f"added {place} and built the boards; commit both")


def verify(
    row: Annotated[Path, typer.Argument(help="A board's row, or the folder of a run.")],
    sample: Annotated[
        float, typer.Option(help="Share of the images that are scored anew, above 0 to 1.")
    ] = 0.05,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run's images, where ROW has none beside it."),
    ] = None,
    vanilla: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Images without the subject, for protocols that want them."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="How far numbers may lie apart, absolutely or of the number.")
    ] = 1e-4,
    seed: Annotated[int, typer.Option(help="Another number draws another sample.")] = 0,
    as_json: Json = False,
) -> None:
    """Score a sample of a row's images anew and hold it to the row."""
    from bench.terminal import progress_bars
    from bench.verify import verify as score_anew

    with progress_bars() as progress:
        found = score_anew(row, sample, images, vanilla, tolerance, seed, progress)
    if as_json:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        _show(found)
    if not found.ok:
        raise UserError(f"{row} does not hold: {'; '.join(found.complaints)}.")


def _show(found: "Verified") -> None:
    say(f"{found.images} of {found.of} images scored anew.")
    for metric, told in found.deviations.items():
        say(f"{metric}: at most {told.largest:.2g} apart, {told.beyond} of {told.n} too far")
    for metric in found.left_out:
        say(f"{metric}: not scored anew; no sample of images tells it")
