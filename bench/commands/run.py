"""`bench run`: from a method's name to a leaderboard."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.output import Json, print_json, say
from bench.commands.workers import (
    Address,
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

NOT_TOLD = "not known, and not in the figures below"


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
    as_json: Json = False,
) -> None:
    """Train a method, answer a suite, score the images and show the leaderboard."""
    from bench.counterparts import demand_vanilla
    from bench.options import parse_pairs
    from bench.plan import Request, make_plan
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
    if dry_run:
        _show_plan(plan, as_json)
        return
    from bench.processes import launched, processes
    from bench.run import assist, execute
    from bench.run_folder import RunFolder

    crew = executor_of(executor, address, workers, gpus_per_worker, patience)
    demand_alone(launched(), crew)
    if not processes().first:
        assist(plan, out, vanilla)
        return
    with interruptible(), progress_bars() as progress:
        folder, result = execute(plan, out, progress, vanilla, crew)
    seconds = RunFolder(folder).seconds()
    if as_json:
        print_json(_summary(folder, result, seconds))
    else:
        _show_result(folder, result, seconds)


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


def _show_result(folder: Path, result: "RunResult", seconds: dict[str, float]) -> None:
    from bench.board import table
    from bench.paths import leaderboards_folder
    from bench.terminal import stdout

    stdout.print(table(result.suite, leaderboards_folder(), extra=result))
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
    stdout.print(f"Run: {folder} ({times})", soft_wrap=True)


def _show_plan(plan: "Plan", as_json: bool) -> None:
    document: dict[str, Any] = {
        "method": plan.method,
        "backbone": plan.backbone,
        "suite": plan.suite.key,
        "protocol": plan.protocol.key,
        "options": plan.options,
        "n_subjects": len(plan.subjects),
        "n_seeds": plan.seeds,
        "n_images": len(plan.cases),
        "limited": plan.limited,
        "encoders": sorted({spec.encoder for spec in plan.protocol.metrics}),
        "cost": _cost(plan),
    }
    if as_json:
        print_json(document)
        return
    cost = document.pop("cost")
    _say_all({**document, **cost})


def _cost(plan: "Plan") -> dict[str, Any]:
    """Counts and estimates, the training's only where the method tells them."""
    from bench import cost, registry

    factory = registry.load("method", plan.method)
    options = factory.Options.model_validate(plan.options)
    facts, _ = cost.facts_of(plan.backbone)
    ask = getattr(factory, "budget", None)
    budget = ask(options, facts, cost.Extent.of(plan)) if ask and facts else None
    told = cost.estimate(
        budget or cost.Budget(),
        len(plan.cases),
        getattr(options, "steps", None),
        plan.backbone,
        cost.device_at_hand(),
        getattr(options, "passes", 1),
    )
    trains = getattr(factory, "scope", "none") != "none"
    untold = NOT_TOLD if trains else "none"
    return {"training": cost.counts(budget) if budget else untold, **told.document}


def _say_all(document: dict[str, Any]) -> None:
    """A line each; figures by name, and every assumption on a line of its own."""
    for key, value in document.items():
        for each in value if key == "assumptions" else [value]:
            if isinstance(each, dict) and key != "options":
                each = ", ".join(f"{name} {figure}" for name, figure in each.items())
            say(f"{key + ':':<12} {'not known' if each in (None, '') else each}")
