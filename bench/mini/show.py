"""Pictures of the mini world: references and the images of several runs, side by side."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.api import Case
from bench.editing import open_source
from bench.errors import UserError
from bench.made import MANIFEST
from bench.mini.edits import render_edit
from bench.mini.grammar import scene_of
from bench.mini.world import render_scene, sample_identity, scene_pose
from bench.names import folded, names, settings
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.references import open_reference
from bench.results import RESULT_FILE, RunResult, read_result
from bench.store import ImageStore
from bench.suites import Suite, load_suite

CELL = 96
GAP = 6
LINE = 15
LETTERING = 12
LETTERS = 15
"""Of a label, as many as fit a line above a column."""
PROMPTS = 3
"""Prompts shown of each subject."""


def default_runs(folder: Path) -> list[Path]:
    """The newest full runs of SFT-base and SFO on mini@1 under ``folder``."""
    newest: dict[str, Path] = {}
    found = (folder / "mini@1").glob(f"*/{RESULT_FILE}")
    for path in sorted(found, key=lambda path: path.stat().st_mtime):
        result = read_result(path)
        if not result.limited:
            newest[result.method] = path.parent
    runs = [newest[name] for name in ("sft-base", "sfo") if name in newest]
    if not runs:
        raise UserError(
            f"There is no finished run on mini@1 under {folder}; make one with "
            "`bench run --method sfo --suite mini`, or name run folders."
        )
    return runs


def show(runs: Sequence[Path], out: Path, subjects: int) -> None:
    """Write a PNG: a row per subject and prompt with reference, truth and each run's image.

    Runs of one method are labelled by what they set otherwise. For edits the image to be edited
    stands beside the reference.

    UserError when a run is not one of the mini world or lacks images.
    """
    results = [_result(run) for run in runs]
    suite = load_suite(results[0].suite)
    if any(result.suite != suite.key for result in results) or suite.world is None:
        raise UserError("These runs are not all on one mini suite; name runs on the same one.")
    stores = [ImageStore(run / "images") for run in runs]
    cases = _cases(suite, results[0], subjects)
    edited = ["to be edited"] if suite.sources else []
    told = names([settings(result) for result in results])
    labels = [folded(label, LETTERS) for label in ("reference", *edited, "truth", *told)]
    top = LINE * max(map(len, labels))
    sheet = _sheet(len(cases), labels, top)
    for row, case in enumerate(cases):
        images = [_reference(suite, case), *_edited(suite, case), _truth(suite, case)]
        images += [_drawn(store, case) for store in stores]
        for column, image in enumerate(images):
            sheet.paste(
                image.resize((CELL, CELL), Image.Resampling.NEAREST), _place(row, column, top)
            )
        x, y = _place(row, len(labels), top)
        _write(sheet, (x + GAP, y + CELL // 2 - 6), case.prompt)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def _result(run: Path) -> RunResult:
    if not (run / MANIFEST).exists() or not (run / RESULT_FILE).exists():
        raise UserError(f"{run} is not the folder of a finished run; finish it with `bench run`.")
    return read_result(run / RESULT_FILE)


def _cases(suite: Suite, result: RunResult, subjects: int) -> list[Case]:
    """A few prompts of subjects spread over the classes; each subject shows other prompts."""
    protocol = load_protocol(suite, result.protocol)
    asked = suite.subjects[: result.n_subjects]
    cases = make_cases(suite, protocol, asked[:subjects], 1)
    order = {subject.directory: index for index, subject in enumerate(asked)}
    per_subject = len(suite.prompts_object)
    return [
        case
        for case in cases
        if (case.prompt_index + PROMPTS * order[case.subject]) % per_subject < PROMPTS
    ]


def _reference(suite: Suite, case: Case) -> Image.Image:
    subject = next(s for s in suite.subjects if s.directory == case.subject)
    return open_reference(suite, subject, case.reference)


def _truth(suite: Suite, case: Case) -> Image.Image:
    """What the prompt asks for, as the world draws it."""
    assert suite.world is not None
    if suite.sources:
        return render_edit(suite, case.subject, case.prompt_index)
    index = [subject.directory for subject in suite.subjects].index(case.subject)
    subject = sample_identity(suite.world.seed, suite.world.split, index)
    scene = scene_of(suite.prompts_object[case.prompt_index])
    return Image.fromarray(render_scene(subject, scene, scene_pose(scene)))


def _edited(suite: Suite, case: Case) -> list[Image.Image]:
    """The image to be edited, in a suite of edits."""
    return [open_source(suite, case.subject, case.prompt_index)] if suite.sources else []


def _drawn(store: ImageStore, case: Case) -> Image.Image:
    if not store.has_all([case.file]):
        raise UserError(f"{store.folder} lacks {case.file}; finish the run with `bench run`.")
    return store.open(case.file)


def _place(row: int, column: int, top: int) -> tuple[int, int]:
    return GAP + column * (CELL + GAP), top + GAP + row * (CELL + GAP)


def _sheet(rows: int, labels: Sequence[Sequence[str]], top: int) -> Image.Image:
    """White, with the labels' lines above the columns."""
    width, height = _place(rows, len(labels), top)
    sheet = Image.new("RGB", (width + 420, height), "white")
    for column, lines in enumerate(labels):
        for line, text in enumerate(lines):
            _write(sheet, (_place(0, column, top)[0], 3 + LINE * line), text)
    return sheet


def _write(sheet: Image.Image, place: tuple[int, int], text: str) -> None:
    font = ImageFont.load_default(LETTERING)
    ImageDraw.Draw(sheet).text(place, text, fill="black", font=font)
