"""Options that say who does the work of a run: this process, several, or a Ray cluster."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import UserError

if TYPE_CHECKING:
    from bench.executors import Executor

MINUTE = 60.0


class Kind(StrEnum):
    """Where workers are."""

    local = "local"
    ray = "ray"


PANEL = "Workers"
ExecutorOption = Annotated[
    Kind, typer.Option(help="This machine, or a Ray cluster.", rich_help_panel=PANEL)
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster; default: the one around, or a new one here.",
        rich_help_panel=PANEL,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Pieces of work done at once; default: 1 here, all there is room for on Ray.",
        rich_help_panel=PANEL,
    ),
]
PerWorker = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-worker",
        help="Accelerators of a worker, such as 0.5; default: 1 where there are any.",
        rich_help_panel=PANEL,
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        metavar="MINUTES",
        help="Without progress for so long, a worker is taken for hung and replaced.",
        rich_help_panel=PANEL,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device", help='Of a dry run for another machine, such as "H100" or "A100 40GB".'
    ),
]


def executor_of(
    kind: Kind,
    address: str | None,
    workers: int | None,
    per_worker: float | None,
    patience: float,
) -> "Executor":
    """UserError for numbers that mean nothing, and for options of the other executor."""
    _demand("--workers", workers, 1)
    _demand("--gpus-per-worker", per_worker, 0)
    if not patience > 0:
        raise UserError(f"--patience is {patience:g}; give a number of minutes above 0.")
    if kind == Kind.ray:
        from bench.executors.ray import Cluster

        return Cluster(address, workers, per_worker, patience * MINUTE)
    if address is not None:
        raise UserError("--address is that of a Ray cluster: add --executor ray, or leave it out.")
    from bench.executors.local import Here, Processes

    if workers in (None, 1):
        return Here()
    share = 1.0 if per_worker is None else per_worker
    return Processes(workers, share, patience * MINUTE)


def demand_alone(processes: int, executor: "Executor") -> None:
    """UserError where processes that share one training would each start workers of their own."""
    from bench.executors.local import Here

    if processes > 1 and not isinstance(executor, Here):
        raise UserError(
            "accelerate launch shares one training among processes, and workers share a run's "
            "pieces: leave out --workers and --executor, or accelerate launch."
        )


def _demand(flag: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise UserError(f"{flag} is {value:g}; give a number of at least {least:g}.")


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C drops what is under way, and says how to go on. Exit code 130."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(
            "bench: Interrupted; everything finished is kept: run the same command to go on.\n"
        )
        raise typer.Exit(130) from interrupt
