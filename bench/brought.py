"""Images that other code made, or the suite's own photographs: scored and kept like a run's."""

import datetime
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bench.api import Case, Progress, rows_identity, silent
from bench.counterparts import find_counterparts
from bench.errors import UserError
from bench.gallery import Gallery
from bench.identity import identity
from bench.protocols import Protocol
from bench.results import (
    NAME,
    RESULT_FILE,
    ROWS_FILE,
    Environment,
    RunResult,
    read_result,
    write_result,
    write_rows,
)
from bench.score import Networks, aggregates, judges, score
from bench.sitting import Answer, Drawn, Shown, Sitting, not_shown
from bench.store import exclusive
from bench.suites import Suite

Scored = tuple[Path, RunResult]
"""The folder that holds ``row.json`` and ``rows.parquet``, and what they say."""


def score_images(
    suite: Suite,
    protocol: Protocol,
    used: Protocol,
    images: Sequence[Drawn],
    label: str,
    limited: bool,
    out: Path | None = None,
    progress: Progress = silent,
    networks: Networks | None = None,
    vanilla: Path | None = None,
    shown: Shown = not_shown,
) -> Scored:
    """Score files that answer a suite's cases; ``limited`` says that some are missing.

    ``used`` is the protocol with the metrics that are wanted; ``networks`` keeps what was loaded
    for the next scoring; ``vanilla`` holds images of the same cases without the subject, and
    ``shown`` tells files that are photographs. UserError for a label that cannot stand on a board,
    and what ``bench.counterparts.find_counterparts`` and ``bench.score.score`` raise.
    """
    if not re.fullmatch(NAME, label):
        raise UserError(
            f"The label '{label}' cannot stand on a board: use small letters, digits and . _ + -, "
            "for example my-method."
        )
    cases = [case for case, _, _ in images]
    counterparts = find_counterparts(suite, used, cases, vanilla, progress=progress)
    sitting = Sitting.of_files(images, Gallery(suite), used, shown, counterparts)
    return _score(suite, protocol, sitting, label, "images", limited, out, progress, networks)


def score_photographs(
    suite: Suite,
    protocol: Protocol,
    used: Protocol,
    out: Path | None = None,
    progress: Progress = silent,
) -> Scored:
    """Score every photograph against the others of its subject: what real images come to.

    Metrics that read prompts, or need several images of one, have nothing to say here and are left
    out. UserError when no metric is left.
    """
    gallery = Gallery(suite)
    answers = [
        Answer(_question(suite, subject.directory, index, file), picture)
        for subject in suite.subjects
        for index, (file, picture) in enumerate(gallery(subject.directory).items())
    ]
    sitting = Sitting(answers, gallery, _left_one_out(used))
    return _score(suite, protocol, sitting, "photographs", "photographs", False, out, progress)


def _question(suite: Suite, subject: str, index: int, file: str) -> Case:
    """What a photograph would be the answer to: itself."""
    return Case(
        suite=suite.key,
        subject=subject,
        prompt_index=index,
        prompt="",
        name="",
        reference=file,
        seed=0,
    )


def _left_one_out(protocol: Protocol) -> Protocol:
    kept = [
        judge.spec.model_copy(update={"references": "all-but-input"})
        for judge in judges(protocol)
        if judge.looks_at_photographs
    ]
    if not kept:
        raise UserError(
            f"No metric of {protocol.key} holds images against photographs; name some that do "
            "with --metrics."
        )
    return protocol.model_copy(update={"metrics": tuple(kept)})


def _score(
    suite: Suite,
    protocol: Protocol,
    sitting: Sitting,
    label: str,
    origin: Literal["images", "photographs"],
    limited: bool,
    out: Path | None,
    progress: Progress,
    networks: Networks | None = None,
) -> Scored:
    answers = sitting.answers
    rows = score(sitting, progress, networks=networks)
    metrics = aggregates(rows, sitting)
    images = {answer.case.file: answer.picture.digest for answer in answers}
    told = {name: list(aggregate.definition) for name, aggregate in metrics.items()}
    parts: list[Any] = [suite.identity, protocol.identity, told, images, label, origin]
    if shown := {answer.case.file: answer.shown for answer in answers if answer.shown}:
        parts.append(shown)
    result = RunResult(
        identity=identity(parts),
        method=label,
        method_revision=0,
        options={},
        suite=suite.key,
        suite_identity=suite.identity,
        protocol=protocol.key,
        protocol_identity=protocol.identity,
        backbone="unknown",
        backbone_digest="unknown",
        mini_weights=sitting.protocol.mini_weights,
        n_subjects=len({answer.case.subject for answer in answers}),
        n_prompts=len({answer.case.prompt_index for answer in answers}),
        n_seeds=len({answer.case.seed for answer in answers}),
        limited=limited,
        origin=origin,
        metrics=metrics,
        rows_identity=rows_identity(rows),
        environment=Environment.here(*_computed_with(sitting.protocol)),
        date=datetime.datetime.now(datetime.UTC).date(),
    )
    folder = out or Path("runs") / suite.key / result.folder_name
    with exclusive(folder):
        _claim(folder, result)
        write_rows(rows, folder / ROWS_FILE)
        write_result(result, folder / RESULT_FILE)
    return folder, result


def _claim(folder: Path, result: RunResult) -> None:
    """UserError for a folder that holds anything but an earlier scoring of the same images."""
    if not any(file.name != ".lock" for file in folder.iterdir()):
        return
    kept = folder / RESULT_FILE
    if not kept.is_file() or read_result(kept).identity != result.identity:
        raise UserError(f"{folder} holds something else; choose another --out.")


def _computed_with(protocol: Protocol) -> tuple[str, str]:
    """Device and precision. Features that were all cached bring no torch, and need no device."""
    torch = sys.modules.get("torch")
    device = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
    return device, ", ".join(sorted({spec.precision for spec in protocol.metrics}))
