"""A finished run is put on its board, once all holds that can be told from its folder."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from bench.board import build, outdated, place
from bench.errors import UserError
from bench.identity import file_digest
from bench.made import IMAGES
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.recomputed import contradictions, scored_images
from bench.results import RESULT_FILE, ROWS_FILE, Measured, read_measured, read_result
from bench.revisions import changes
from bench.sitting import place_of
from bench.suites import load_suite


def submit(run_folder: Path, leaderboards: Path, replace: bool = False) -> Path:
    """Check a run, copy its rows to its board and build the boards; returns the row's folder.

    UserError, and nothing touched, for a run that is unfinished, partial or out of date, whose
    images are not those that were scored, whose numbers do not follow from its rows, or whose row
    stands already with other scores, unless ``replace``.
    """
    run = read_measured(run_folder)
    _require_full(run)
    for problem in (*outdated(run), *lacks(run)):
        raise UserError(f"{problem}.")
    if not replace:
        _require_same_scores(run, leaderboards / place(run.result) / RESULT_FILE)
    target = add_row(run_folder, leaderboards)
    build(leaderboards)
    return target


def add_row(run_folder: Path, leaderboards: Path, allow_limited: bool = False) -> Path:
    """Copy a finished run's result and rows to its board; the same run replaces itself.

    UserError when the folder holds no finished run, when its numbers do not follow from its rows,
    and for a limited run unless ``allow_limited``.
    """
    run = read_measured(run_folder)
    if not allow_limited:
        _require_full(run)
    for problem in contradictions(run):
        raise UserError(f"{problem}; score the run again.")
    target = leaderboards / place(run.result)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        for name in (RESULT_FILE, ROWS_FILE):
            copyfile(run_folder / name, new / name)
        if target.exists():
            target.rename(Path(scratch, "old"))
        new.rename(target)
    return target


def lacks(run: Measured) -> Iterator[str]:
    """What a run that calls itself complete has not, one sentence each."""
    result = run.result
    if result.origin == "photographs":
        return
    suite = load_suite(result.suite)
    protocol = load_protocol(suite, result.protocol)
    cases = make_cases(suite, protocol, suite.subjects, protocol.seeds)
    asked = {place_of(case) for case in cases}
    for metric, told in result.metrics.items():
        missing = sorted(asked - run.values(metric).keys())
        if told.kind != "set" and missing:
            subject, prompt, seed = missing[0]
            yield (
                f"{run.folder}: {len(missing)} of {len(asked)} cases have no {metric}, {subject}, "
                f"prompt {prompt}, seed {seed} first; run the whole suite"
            )
    if result.origin == "run":
        scored = scored_images(run)
        files = {case.file: scored.get(place_of(case), "") for case in cases}
        yield from _altered(run.folder, {file: digest for file, digest in files.items() if digest})


def _altered(folder: Path, scored: dict[str, str]) -> Iterator[str]:
    """Whether the images are those that were scored."""
    images = folder / IMAGES
    other = [file for file, digest in scored.items() if _digest(images / file) != digest]
    if other:
        yield (
            f"{folder}: {len(other)} of {len(scored)} images are missing or not those that were "
            f"scored, {other[0]} first; run the same command again"
        )


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None


def _require_full(run: Measured) -> None:
    if run.result.limited:
        raise UserError(
            f"{run.folder} has fewer subjects or seeds than {run.result.protocol} asks for and "
            "cannot be ranked; run the whole suite, or allow limited runs."
        )


def _require_same_scores(run: Measured, standing: Path) -> None:
    if standing.is_file() and changes([read_result(standing)], [run.result]):
        raise UserError(
            f"{standing.parent} has other scores for the same specification: raise the revision of "
            f"'{run.result.method}' and run it again, or replace the row with --replace."
        )
