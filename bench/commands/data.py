"""`bench data`: add, make, fetch, verify."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import say
from bench.errors import UserError

app = typer.Typer(help="Photographs of the suites: add, make, fetch, verify.", no_args_is_help=True)
SuiteName = Annotated[str, typer.Argument(help="Suite, NAME or NAME@VERSION.")]


@app.command("add")
def add(
    suite: SuiteName,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="Your copy: a checkout, a folder of subjects, or a zip or tar."
        ),
    ],
) -> None:
    """Check every file of a data set against its digest and keep a copy."""
    from bench import data, downloads
    from bench.suites import load_suite, named_download
    from bench.terminal import progress_bars

    if key := named_download(suite):
        report = downloads.add(key, path)
    else:
        with progress_bars() as progress:
            report = data.add(load_suite(suite), path, progress)
    say(report.sentence)


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the suite is to be called.")],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A directory of images for every subject, and prompts.txt."
        ),
    ],
) -> None:
    """Make a suite of your own from a folder, frozen as those that ship are."""
    from bench import own
    from bench.data import verify

    say(verify(own.make(name, folder)).sentence)


@app.command("fetch")
def fetch(suite: SuiteName) -> None:
    """Download a data set from its official place, size and licence said first."""
    from bench.suites import named_download

    if key := named_download(suite):
        _fetch_official(key)
    else:
        _fetch_images(suite)


def _fetch_official(key: str) -> None:
    from bench import downloads
    from bench.terminal import progress_bars

    if (held := downloads.held(key)) is None or not held.ok:
        say(downloads.terms(key))
    with progress_bars() as progress:
        report = downloads.fetch(key, progress)
    say(report.sentence)


def _fetch_images(suite: str) -> None:
    from bench import data
    from bench.suites import load_suite
    from bench.terminal import progress_bars

    wanted = load_suite(suite)
    if not data.verify(wanted).ok:
        say(data.terms(wanted))
    with progress_bars() as progress:
        report = data.fetch(wanted, progress)
    say(report.sentence)


@app.command("verify")
def verify(suite: SuiteName) -> None:
    """Check the files that are here; exit code 2 when one is missing or altered."""
    from bench import data
    from bench.suites import load_suite
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        report = data.verify(load_suite(suite), progress)
    if not report.ok:
        raise UserError(report.sentence)
    say(report.sentence)
