"""The command line. Commands are thin, and import what they need when they run."""

import errno
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.errors import UserError

app = typer.Typer(
    name="bench",
    help="Benchmark methods of subject-driven image generation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
board_app = typer.Typer(help="Leaderboards: build, check, add a run.", no_args_is_help=True)
data_app = typer.Typer(help="Photographs of the suites: add, fetch, verify.", no_args_is_help=True)
mini_app = typer.Typer(help="The mini world: train its networks, show runs.", no_args_is_help=True)
app.add_typer(board_app, name="board")
app.add_typer(data_app, name="data")
app.add_typer(mini_app, name="mini")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Boards = Annotated[
    Path | None, typer.Option("--boards", help="Folder of the leaderboards; default: the shipped.")
]


def main() -> None:
    """Entry point: what the user can mend is one sentence and exit code 2."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) != len(sys.argv) - 1
    if not debug:
        _quiet_libraries()
    try:
        app(args=arguments, prog_name="bench")
    except (UserError, OSError) as error:
        sentence = _sentence(error)
        if debug or sentence is None:
            raise
        sys.stderr.write(f"bench: {sentence}\n")
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
    return None


def _quiet_libraries() -> None:
    """Libraries' warnings are for developers; --debug shows them."""
    warnings.filterwarnings("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.")] = False,
) -> None:
    """Benchmark methods of subject-driven image generation."""


@app.command()
def run(
    method: Annotated[str, typer.Option(help="Method to run; see `bench list methods`.")],
    suite: Annotated[str, typer.Option(help="Suite, NAME or NAME@VERSION.")],
    protocol: Annotated[
        str | None, typer.Option(help="How the suite is asked and scored; default: its headline.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Generator; default: the suite's.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of the method; repeatable."),
    ] = None,
    limit_subjects: Annotated[
        int | None, typer.Option(help="Only the first N subjects; such runs are never ranked.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Images per prompt; default: the protocol's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; an unfinished one is continued.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Train a method, answer a suite, score the images and show the leaderboard."""
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
            limit_subjects=limit_subjects,
            seeds=seeds,
        )
    )
    if plan.notice:
        stderr.print(plan.notice, soft_wrap=True)
    if dry_run:
        _show_plan(plan, as_json)
        return
    from bench.run import RunFolder, execute

    with progress_bars() as progress:
        folder, result = execute(plan, out, progress)
    seconds = RunFolder(folder).seconds()
    if as_json:
        _print_json(_summary(folder, result, seconds))
    else:
        _show_result(folder, result, seconds)


def _summary(folder: Path, result: Any, seconds: dict[str, float]) -> dict[str, Any]:
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


def _show_result(folder: Path, result: Any, seconds: dict[str, float]) -> None:
    from bench.board import table
    from bench.paths import leaderboards_folder
    from bench.terminal import stdout

    stdout.print(table(result.suite, leaderboards_folder(), extra=result))
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
    stdout.print(f"Run: {folder} ({times})", soft_wrap=True)


def _show_plan(plan: Any, as_json: bool) -> None:
    document = {
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
    }
    if as_json:
        _print_json(document)
        return
    from bench.terminal import stdout

    for key, value in document.items():
        stdout.print(f"{key + ':':<12} {value}", soft_wrap=True, highlight=False)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of another on the same suite.")],
    metric: Annotated[str | None, typer.Option(help="Only this metric.")] = None,
    as_json: Json = False,
) -> None:
    """Paired differences A - B with 95 % intervals over subjects."""
    from bench.compare import compare as compare_runs

    found = compare_runs(run_a, run_b, metric)
    if as_json:
        keep = {"difference", "ci95", "p", "n_subjects"}
        _print_json({name: p.model_dump(mode="json", include=keep) for name, p in found.items()})
        return
    from rich.table import Table

    from bench.terminal import stdout

    table = Table("metric", "A - B", "95 % interval", "p", "subjects")
    for name, paired in found.items():
        ends = "none" if paired.ci95 is None else "[{:+.4f}, {:+.4f}]".format(*paired.ci95)
        cells = (f"{paired.difference:+.4f}", ends, f"{paired.p:.4f}", str(paired.n_subjects))
        table.add_row(name, *cells)
    stdout.print(table)


@app.command("list")
def list_things(
    what: Annotated[str, typer.Argument(help="methods, suites, metrics or backbones")],
    as_json: Json = False,
) -> None:
    """What there is."""
    from bench.listing import LISTS
    from bench.terminal import stdout

    if what not in LISTS:
        from bench.errors import unknown

        raise unknown("list", what, LISTS)
    rows = LISTS[what]()
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        stdout.print(f"{row['name']:<20} {row['what']}", soft_wrap=True, highlight=False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is installed, and which data and weights are here."""
    from bench.doctor import examine
    from bench.terminal import stdout

    findings = examine()
    if as_json:
        _print_json(findings)
        return
    for name, state in findings.items():
        stdout.print(f"{name:<28} {state}", soft_wrap=True, highlight=False)


@board_app.command("build")
def board_build(boards: Boards = None) -> None:
    """Write every board's README.md from its measured rows."""
    from bench.board import build
    from bench.paths import leaderboards_folder
    from bench.terminal import stdout

    for path in build(boards or leaderboards_folder()):
        stdout.print(f"wrote {path}", soft_wrap=True, highlight=False)


@board_app.command("check")
def board_check(boards: Boards = None) -> None:
    """Fail when a board is stale or a row does not validate."""
    from bench.board import check
    from bench.paths import leaderboards_folder

    problems = check(boards or leaderboards_folder())
    if problems:
        raise UserError("\nbench: ".join(problems))


@board_app.command("add")
def board_add(
    run_folder: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    allow_limited: Annotated[
        bool, typer.Option("--allow-limited", help="List a partial run, unranked.")
    ] = False,
    boards: Boards = None,
) -> None:
    """Copy a finished run's rows to its board."""
    from bench.board import add_row
    from bench.paths import leaderboards_folder
    from bench.terminal import stdout

    place = add_row(run_folder, boards or leaderboards_folder(), allow_limited)
    stdout.print(f"added {place}; now run `bench board build`", soft_wrap=True, highlight=False)


@data_app.command("add")
def data_add(
    suite: Annotated[str, typer.Argument(help="Suite, NAME or NAME@VERSION.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Your copy of its images.")],
) -> None:
    """Check every file of a data set against its digest and keep a copy."""
    from bench import data
    from bench.suites import load_suite
    from bench.terminal import progress_bars, stdout

    with progress_bars() as progress:
        report = data.add(load_suite(suite), folder, progress)
    stdout.print(report.sentence, soft_wrap=True, highlight=False)


@data_app.command("fetch")
def data_fetch(suite: Annotated[str, typer.Argument(help="Suite, NAME or NAME@VERSION.")]) -> None:
    """Download a data set from its official place."""
    from bench import data
    from bench.suites import load_suite
    from bench.terminal import progress_bars, stdout

    with progress_bars() as progress:
        report = data.fetch(load_suite(suite), progress)
    stdout.print(report.sentence, soft_wrap=True, highlight=False)


@data_app.command("verify")
def data_verify(suite: Annotated[str, typer.Argument(help="Suite, NAME or NAME@VERSION.")]) -> None:
    """Check the files that are here; exit code 2 when one is missing or altered."""
    from bench import data
    from bench.suites import load_suite
    from bench.terminal import progress_bars, stdout

    with progress_bars() as progress:
        report = data.verify(load_suite(suite), progress)
    if not report.ok:
        raise UserError(report.sentence)
    stdout.print(report.sentence, soft_wrap=True, highlight=False)


@mini_app.command("train")
def mini_train(
    stage: Annotated[
        str, typer.Option(help="base, sft, dino, clip, attributes, or all of them.")
    ] = "all",
    out: Annotated[
        Path, typer.Option(help="Checkpoints and logs; a training there is continued.")
    ] = Path("mini-training"),
    steps: Annotated[int | None, typer.Option(help="Steps of the stage.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Where finished weights go; default: out/weights.")
    ] = None,
) -> None:
    """Train the mini world's networks from nothing; hours on a CPU, resumable."""
    from bench.mini.training.stages import train_stages
    from bench.terminal import progress_bars, stdout

    with progress_bars() as progress:
        for path in train_stages(stage, out, steps, weights or out / "weights", progress):
            stdout.print(f"wrote {path}", soft_wrap=True, highlight=False)


@mini_app.command("show")
def mini_show(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; default: those under runs/.")
    ] = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("mini.png"),
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")] = 8,
) -> None:
    """Draw references and the runs' images side by side."""
    from bench.mini.show import default_runs, show
    from bench.terminal import stdout

    show(runs or default_runs(Path("runs")), out, subjects)
    stdout.print(f"wrote {out}", soft_wrap=True, highlight=False)
