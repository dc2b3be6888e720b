"""`bench sweep`: many runs at once, what they share made once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.output import Json, print_json
from bench.commands.workers import (
    Address,
    DeviceOption,
    ExecutorOption,
    Kind,
    Patience,
    PerWorker,
    Workers,
    executor_of,
    interruptible,
)
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.pieces import Job
    from bench.plan import Plan
    from bench.workshop import Done


def sweep(
    file: Annotated[
        Path, typer.Argument(help="TOML with tables of runs; docs/clusters.md has one.")
    ],
    out: Annotated[
        str, typer.Option("--out", "-o", help="Folder of the runs' folders, or an address of one.")
    ] = "runs",
    executor: ExecutorOption = Kind.local,
    address: Address = None,
    workers: Workers = None,
    gpus_per_worker: PerWorker = None,
    patience: Patience = 30,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and what it would cost.")
    ] = False,
    device: DeviceOption = None,
    as_json: Json = False,
) -> None:
    """Do a list of runs, or the grid of all combinations; negatives and trainings are shared.

    The file has tables run and grid, and defaults for all of them: a grid is a run whose lists
    stand for alternatives. The same command again continues what was interrupted.
    """
    from bench.counterparts import demand_vanilla
    from bench.sweeps import jobs_of, read_sweep

    jobs = jobs_of(read_sweep(file), out)
    for job in jobs:
        demand_vanilla(job.plan.suite, job.plan.protocol, job.vanilla)
    crew = executor_of(executor, address, workers, gpus_per_worker, patience)
    if dry_run:
        _forecast(jobs, workers or 1, device, as_json)
        return
    from bench.cost.fit import demand_all_fit
    from bench.meter import TOTALS
    from bench.run import execute_all
    from bench.terminal import progress_bars, stderr
    from bench.there import demand_reachable, demand_there

    for job in jobs:
        demand_there(job.plan)
    demand_reachable(out)
    if executor == Kind.local and (warning := demand_all_fit(map(_asked, jobs))):
        stderr.print(warning, soft_wrap=True)
    with interruptible(), progress_bars(TOTALS) as progress:
        done = execute_all(jobs, progress, crew)
    if as_json:
        print_json([_told(job, one) for job, one in zip(jobs, done, strict=True)])
    else:
        _show(jobs, done)
    failures = [f"{j.label}: {one}" for j, one in zip(jobs, done, strict=True) if _failed(one)]
    if failures:
        raise UserError(" ".join(failures))


def _failed(one: "Done | UserError") -> bool:
    return isinstance(one, UserError)


def _told(job: "Job", one: "Done | UserError") -> dict[str, Any]:
    if isinstance(one, UserError):
        return {"label": job.label, "method": job.plan.method, "failed": str(one)}
    folder, result = one
    metrics = {
        name: told.model_dump(mode="json", include={"mean", "ci95", "n", "higher_is_better"})
        for name, told in result.metrics.items()
    }
    return {
        "label": job.label,
        "method": result.method,
        "suite": result.suite,
        "protocol": result.protocol,
        "run": str(folder),
        "metrics": metrics,
    }


def _show(jobs: "list[Job]", done: "list[Done | UserError]") -> None:
    from rich.table import Table
    from rich.text import Text

    from bench.terminal import stdout

    names = list(dict.fromkeys(m for one in done if isinstance(one, tuple) for m in one[1].metrics))
    table = Table("run", *names, "folder")
    for job, one in zip(jobs, done, strict=True):
        if isinstance(one, UserError):
            table.add_row(Text(job.label), *["-"] * len(names), Text("failed", "bold red"))
            continue
        folder, result = one
        means = [f"{result.metrics[n].mean:.3f}" if n in result.metrics else "-" for n in names]
        table.add_row(Text(job.label), *means, Text(str(folder), overflow="fold"))
    stdout.print(table)


def _forecast(jobs: "list[Job]", workers: int, device: str | None, as_json: bool) -> None:
    from bench.commands.forecast import show_all
    from bench.cost.devices import device_named
    from bench.cost.dry_run import describe_all

    elsewhere = device_named(device) if device else None
    document = describe_all(map(_asked, jobs), workers, elsewhere)
    if as_json:
        print_json(document)
    else:
        show_all(document)


def _asked(job: "Job") -> tuple["Plan", str]:
    """A plan with the folder that it is done in, or one beside which that will be."""
    from bench.cost.done import find_folder

    found = None if "://" in job.root else find_folder(job.plan, Path(job.root))
    return job.plan, str(found or f"{job.root}/{job.plan.suite.key}/new")
