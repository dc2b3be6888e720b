"""The command line: its commands, and how errors reach the user."""

import errno
import logging
import os
import sys
import warnings
from traceback import format_exception
from types import TracebackType
from typing import Annotated

import typer

from bench.commands import (
    bench,
    board,
    check,
    compare,
    correlate,
    data,
    look,
    mini,
    pairs,
    protocol,
    report,
    reproduce,
    run,
    score,
    show,
    study,
    submit,
    sweep,
    weights,
)
from bench.errors import UserError
from bench.redaction import printable, redacted

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(run.run)
app.command()(sweep.sweep)
app.command()(reproduce.reproduce)
app.command()(check.check)
app.command()(score.score)
app.command()(submit.submit)
app.command()(submit.verify)
app.command()(compare.compare)
app.command()(correlate.correlate)
app.command()(report.report)
app.command("list")(look.list_things)
app.command()(look.doctor)
app.command()(bench.bench)
app.add_typer(show.app, name="show")
app.add_typer(board.app, name="board")
app.add_typer(protocol.app, name="protocol")
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")
app.add_typer(pairs.app, name="pairs")
app.add_typer(study.app, name="study")
app.add_typer(mini.app, name="mini")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.")] = False,
) -> None:
    """Benchmark methods of subject-driven image generation."""


def main() -> None:
    """Entry point: what the user can mend is one sentence and exit code 2."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    sys.excepthook = show_traceback
    if not debug:
        _quiet_libraries()
    try:
        app(args=arguments, prog_name="bench")
    except (UserError, OSError) as error:
        sentence = _sentence(error)
        if debug or sentence is None:
            raise
        sys.stderr.write(f"bench: {printable(redacted(sentence))}\n")
        sys.exit(2)


def _sentence(error: UserError | OSError) -> str | None:
    """What to tell the user; None for errors that are not theirs to mend."""
    if isinstance(error, UserError):
        return str(error)
    where = error.filename or "the run's folder"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"The disk is full: {where} could not be written. Free some space and run the same "
            "command again; everything finished is kept."
        )
    if error.errno in (errno.EACCES, errno.EROFS):
        return f"{where} is not writable; choose another folder."
    if error.filename and error.strerror:
        return f"{where} cannot be used: {error.strerror.lower()}; choose another."
    return None


def show_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """As Python does, without the secrets that a library may have put into its words."""
    sys.stderr.write(redacted("".join(format_exception(kind, error, trace))))


def _quiet_libraries() -> None:
    """Libraries' warnings are for developers; --debug shows them."""
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
