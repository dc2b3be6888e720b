"""`bench score`: numbers for images that are there already."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.faults import Report
    from bench.protocols import Protocol
    from bench.rescore import Outcome
    from bench.results import RunResult
    from bench.suites import Suite

LAYOUT = "<subject>/<prompt index>-<seed>.png, {prompt}-{i}.png, or a CSV/JSONL manifest"


def score(
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help=f"Images to score: {LAYOUT}.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Suite, NAME or NAME@VERSION.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="How it is scored, or 'all' to see what differs; default: the suite's headline."
        ),
    ] = None,
    label: Annotated[str, typer.Option(help="What to call the method that made them.")] = "images",
    metrics: Annotated[
        str | None,
        typer.Option(
            help="METRIC, METRIC:ENCODER or METRIC/REGION, with commas; default: the protocol's."
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="fp32, tf32, fp16 or bf16; the result says which.")
    ] = "fp32",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Score what is there of an incomplete set.")
    ] = False,
    photographs: Annotated[
        bool,
        typer.Option(
            "--photographs", help="Score the suite's photographs, each against its others."
        ),
    ] = False,
    vanilla: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Images without the subject, for protocols that want them."
        ),
    ] = None,
    real: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Without a suite: real images.")
    ] = None,
    fake: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Without a suite: generated images.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the result; default: under runs/.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a folder of images that your own code made, or compare two plain folders."""
    names = [name.strip() for name in metrics.split(",")] if metrics else []
    if real or fake:
        _plain(real, fake, names, precision, as_json)
        return
    if suite is None or (images is None) == (not photographs):
        raise UserError(
            "Say what to score: '--images DIR --suite NAME', '--photographs --suite NAME', or "
            "'--real DIR --fake DIR --metrics fid,kid'."
        )
    from bench.protocols import load_protocol
    from bench.score import select
    from bench.suites import load_suite

    known = load_suite(suite)
    if protocol == "all":
        _every(known, images, names, precision, label, allow_partial, vanilla, out, as_json)
        return
    asked = load_protocol(known, protocol)
    used = select(asked, names, _precision(precision))
    if images is None:
        _photographs(known, asked, used, vanilla, out, as_json)
    else:
        _images(known, asked, used, images, label, allow_partial, vanilla, out, as_json)


def _images(
    suite: "Suite",
    asked: "Protocol",
    used: "Protocol",
    images: Path,
    label: str,
    allow_partial: bool,
    vanilla: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    from bench.brought import score_images
    from bench.counterparts import demand_vanilla
    from bench.folder import check, index
    from bench.made import images_of, shown_by
    from bench.plan import make_cases
    from bench.terminal import progress_bars, stderr

    demand_vanilla(suite, used, vanilla)
    cases = make_cases(suite, asked, suite.subjects, asked.seeds)
    with progress_bars() as progress:
        report = check(index(images_of(images), cases), progress)
    if report.faults:
        stderr.print(report.table())
    if report.blocking and not (allow_partial and report.images):
        raise UserError(report.sentence)
    with progress_bars() as progress:
        limited = len(report.images) < len(cases)
        folder, result = score_images(
            suite,
            asked,
            used,
            report.images,
            label,
            limited,
            out,
            progress,
            vanilla=vanilla,
            shown=shown_by(images, suite),
        )
    _show(folder, result, as_json, report)


def _every(
    suite: "Suite",
    images: Path | None,
    names: Sequence[str],
    precision: str,
    label: str,
    allow_partial: bool,
    vanilla: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    if images is None:
        raise UserError(
            "'--protocol all' scores images again and again: add '--images DIR', or name one "
            "protocol for the photographs."
        )
    from bench.made import images_of, shown_by
    from bench.protocols import list_protocols
    from bench.rescore import look, rescore
    from bench.score import select
    from bench.terminal import progress_bars, stderr

    every = list_protocols(suite)
    pairs = [(one, select(one, names, _precision(precision))) for one in every]
    with progress_bars() as progress:
        report = look(suite, every, images_of(images), progress)
    if report.faults:
        stderr.print(report.table())
    if not report.images:
        raise UserError(report.sentence)
    with progress_bars() as progress:
        outcomes = rescore(
            suite,
            pairs,
            report,
            label,
            allow_partial,
            out,
            progress,
            vanilla,
            shown_by(images, suite),
        )
    _show_every(outcomes, report, as_json)


def _photographs(
    suite: "Suite",
    asked: "Protocol",
    used: "Protocol",
    vanilla: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    if vanilla is not None:
        raise UserError("Photographs are held against photographs: leave out --vanilla.")
    from bench.brought import score_photographs
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        folder, result = score_photographs(suite, asked, used, out, progress)
    _show(folder, result, as_json)


def _plain(
    real: Path | None, fake: Path | None, names: Sequence[str], precision: str, as_json: bool
) -> None:
    if real is None or fake is None or not names:
        raise UserError(
            "Two plain folders need all of '--real DIR', '--fake DIR' and '--metrics', for example "
            "--metrics fid,kid,cmmd."
        )
    from bench.plain import compare_folders
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        found = compare_folders(real, fake, names, _precision(precision), progress)
    if as_json:
        print_json({name: told.model_dump(mode="json") for name, told in found.items()})
        return
    for name, told in found.items():
        say(told.citation(name))


def _precision(name: str) -> Any:
    from typing import get_args

    from bench.api import Precision
    from bench.errors import unknown

    if name not in get_args(Precision):
        raise unknown("precision", name, get_args(Precision))
    return name


def _show(folder: Path, result: "RunResult", as_json: bool, report: "Report | None" = None) -> None:
    if as_json:
        document = result.model_dump(mode="json")
        keep = ("method", "suite", "protocol", "origin", "limited", "mini_weights", "n_subjects")
        print_json(
            {
                "folder": str(folder),
                **{key: document[key] for key in keep},
                "metrics": document["metrics"],
                "citations": result.citations,
                "images": report.as_json() if report else None,
            }
        )
        return
    for line in result.citations:
        say(line)
    say(f"Rows and result: {folder}")


def _show_every(outcomes: "Sequence[Outcome]", report: "Report", as_json: bool) -> None:
    from bench import rescore

    if as_json:
        print_json({**rescore.as_json(outcomes), "images": report.as_json()})
    else:
        _draw(outcomes)
    if not any(outcome.scored for outcome in outcomes):
        raise UserError(f"No protocol could be scored; the first says: {outcomes[0].reason}")


def _draw(outcomes: "Sequence[Outcome]") -> None:
    from bench.rescore import NOTE, table
    from bench.terminal import stdout

    stdout.print(table(outcomes))
    say(NOTE)
    for outcome in outcomes:
        if outcome.scored:
            say(f"{outcome.protocol.key}: rows and result in {outcome.scored[0]}")
        else:
            say(f"{outcome.protocol.key} is not scored: {outcome.reason}")
