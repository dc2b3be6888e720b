"""`bench run`: from a method's name to a leaderboard."""

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
    demand_alone,
    executor_of,
    interruptible,
)

if TYPE_CHECKING:
    from bench.plan import Plan
    from bench.results import RunResult


def run(
    method: Annotated[str, typer.Option(help="Method to run; see `bench list methods`.")],
    suite: Annotated[str, typer.Option(help="Suite, NAME or NAME@VERSION.")],
    protocol: Annotated[
        str | None, typer.Option(help="How the suite is asked and scored; default: its headline.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Generator; default: the suite's.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of the method; repeatable."),
    ] = None,
    guidance: Annotated[
        str | None,
        typer.Option(help="Guidance, as in cfg:7.5, ag or pg:omega=0.6; default: the backbone's."),
    ] = None,
    limit_subjects: Annotated[
        int | None, typer.Option(help="Only the first N subjects; such runs are never ranked.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Images per prompt; default: the protocol's.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder of the run, or an address such as s3://bucket/run; an unfinished one is "
            "continued."
        ),
    ] = None,
    vanilla: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Images without the subject, for protocols that want them."
        ),
    ] = None,
    executor: ExecutorOption = Kind.local,
    address: Address = None,
    workers: Workers = None,
    gpus_per_worker: PerWorker = None,
    patience: Patience = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    device: DeviceOption = None,
    as_json: Json = False,
) -> None:
    """Train a method, answer a suite, score the images and show the leaderboard."""
    from bench.counterparts import demand_vanilla
    from bench.options import parse_pairs
    from bench.plan import Request, make_plan
    from bench.processes import launched, processes
    from bench.terminal import progress_bars, stderr

    plan = make_plan(
        Request(
            method=method,
            suite=suite,
            protocol=protocol,
            backbone=backbone,
            options=parse_pairs(set_ or []),
            guidance=guidance,
            limit_subjects=limit_subjects,
            seeds=seeds,
        )
    )
    demand_vanilla(plan.suite, plan.protocol, vanilla)
    if plan.notice:
        stderr.print(plan.notice, soft_wrap=True)
    crew = executor_of(executor, address, workers, gpus_per_worker, patience)
    if dry_run:
        _forecast(plan, out, workers or 1, device, as_json)
        return
    from bench.run import assist, execute

    demand_alone(launched(), crew)
    if not processes().first:
        assist(plan, out, vanilla)
        return
    _demand_room(plan, out, executor)
    with interruptible(), progress_bars() as progress:
        folder, result = execute(plan, out, progress, vanilla, crew)
    _show_result(folder, result, as_json)


def _demand_room(plan: "Plan", out: str | None, executor: Kind) -> None:
    """What is missing is named before anything begins, and what cannot fit here."""
    from bench.cost.fit import demand_fit
    from bench.terminal import stderr
    from bench.there import demand_reachable, demand_there

    demand_there(plan)
    demand_reachable(out)
    if executor == Kind.local and (warning := demand_fit(plan, out)):
        stderr.print(warning, soft_wrap=True)


def _forecast(
    plan: "Plan", out: str | None, workers: int, device: str | None, as_json: bool
) -> None:
    from bench.commands.forecast import show
    from bench.cost.devices import device_named
    from bench.cost.dry_run import describe

    elsewhere = device_named(device) if device else None
    document = describe(plan, out, workers, elsewhere)
    if as_json:
        print_json(document)
    else:
        show(document)


def _summary(folder: Path, result: "RunResult", seconds: dict[str, float]) -> dict[str, Any]:
    fields = ("mean", "ci95", "n", "higher_is_better")
    metrics = {
        name: aggregate.model_dump(mode="json", include=set(fields))
        for name, aggregate in result.metrics.items()
    }
    first = next(iter(result.metrics.values()))
    return {
        "run": str(folder),
        "method": result.method,
        "suite": result.suite,
        "protocol": result.protocol,
        "backbone": result.backbone,
        "mini_weights": result.mini_weights,
        "n_images": first.n,
        "metrics": metrics,
        "seconds": seconds,
    }


def _show_result(folder: Path, result: "RunResult", as_json: bool) -> None:
    from bench.board import table
    from bench.paths import leaderboards_folder
    from bench.run_folder import RunFolder
    from bench.terminal import stdout

    seconds = RunFolder(folder).seconds()
    if as_json:
        print_json(_summary(folder, result, seconds))
        return
    stdout.print(table(result.suite, leaderboards_folder(), extra=result))
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
    stdout.print(f"Run: {folder} ({times})", soft_wrap=True)
