"""Counterparts: images of the same cases that others are held against, besides photographs.

Either those that were to be edited, or what the same backbone draws without the subject.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.api import Case, Progress, silent
from bench.editing import open_source
from bench.errors import UserError
from bench.folder import check, index
from bench.gallery import Picture
from bench.made import images_of, specification_of
from bench.pictures import read
from bench.plan import NO_BACKBONE
from bench.protocols import Against, Protocol
from bench.sitting import ByCase, place_of
from bench.suites import Suite

VANILLA = "text-only"
"""The method that draws without the subject."""


def find_counterparts(
    suite: Suite,
    protocol: Protocol,
    cases: Sequence[Case],
    vanilla: Path | None = None,
    backbone: str | None = None,
    progress: Progress = silent,
) -> dict[Against, ByCase]:
    """What the metrics of a protocol hold the answers of ``cases`` against.

    ``vanilla`` is a run's folder, or images in any layout that is scored. UserError where it is
    missing, needless, incomplete or a run of another method or backbone, and for a suite that has
    no images to be edited.
    """
    demand_vanilla(suite, protocol, vanilla)
    nouns = {subject.directory: subject.class_noun for subject in suite.subjects}
    found: dict[Against, ByCase] = {}
    if any(spec.against == "sources" for spec in protocol.metrics):
        found["sources"] = {place_of(case): _source(suite, case, nouns) for case in cases}
    if vanilla is not None:
        _demand_origin(vanilla, backbone)
        found["vanilla"] = _vanilla(vanilla, cases, nouns, progress)
    return found


def wants_vanilla(protocol: Protocol) -> bool:
    """Whether a metric holds images against those made without the subject."""
    return any(spec.against == "vanilla" for spec in protocol.metrics)


def demand_vanilla(suite: Suite, protocol: Protocol, vanilla: Path | None) -> None:
    """UserError where images without the subject are wanted and not given, or the reverse."""
    if wants_vanilla(protocol) and vanilla is None:
        raise UserError(
            f"{protocol.key} holds images against those that the same backbone makes without the "
            f"subject: add '--vanilla DIR', a folder that 'bench run --method {VANILLA} --suite "
            f"{suite.name} --backbone NAME' makes."
        )
    if vanilla is not None and not wants_vanilla(protocol):
        raise UserError(
            f"No metric that is asked for of {protocol.key} holds images against those made "
            "without the subject: leave out --vanilla, or name a protocol that does."
        )


def _source(suite: Suite, case: Case, nouns: dict[str, str]) -> Picture:
    if suite.sources is None:
        raise UserError(f"{suite.key} has no images to be edited; choose a suite of edits.")
    return Picture(
        digest=suite.sources[case.subject][case.prompt_index].sha256,
        open=partial(open_source, suite, case.subject, case.prompt_index),
        noun=nouns[case.subject],
    )


def _demand_origin(vanilla: Path, backbone: str | None) -> None:
    """Images of unknown origin are taken at their user's word."""
    told = specification_of(vanilla)
    if told is None:
        return
    if (method := told.get("method")) != VANILLA:
        raise UserError(
            f"{vanilla} is a run of '{method}', and --vanilla takes one of '{VANILLA}'."
        )
    if backbone not in (None, NO_BACKBONE, drawn_by := told.get("backbone")):
        raise UserError(
            f"{vanilla} was drawn by {drawn_by}, and this run is to be held against images "
            f"of {backbone}: make them with 'bench run --method {VANILLA} --backbone {backbone}'."
        )


def _vanilla(
    source: Path, cases: Sequence[Case], nouns: dict[str, str], progress: Progress
) -> ByCase:
    report = check(index(images_of(source), cases), progress)
    if len(report.images) < len(cases):
        lacking = len(cases) - len(report.images)
        raise UserError(
            f"Of {len(cases)} images without the subject that are asked for in {source}, {lacking} "
            f"are missing or cannot be used ({report.blocking[0].where} is the first): "
            "complete --vanilla."
        )
    return {
        place_of(case): Picture(digest, partial(read, path), nouns[case.subject])
        for case, path, digest in report.images
    }
