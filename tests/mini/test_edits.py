"""Suites of edits in the mini world: in the subject's place stands another, and all else stays."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bench.editing import open_source
from bench.lint import lint
from bench.mini.edits import render_edit, write_edit_tables
from bench.mini.show import CELL, GAP, LINE, show
from bench.plan import Request, make_cases, make_plan
from bench.protocols import load_protocol
from bench.references import open_reference
from bench.run import execute
from bench.suites import Suite, load_suite, suite_folder

Pixels = NDArray[np.int16]


@pytest.fixture(params=["mini-edit@1", "mini-edit-validation@1"])
def suite(request: pytest.FixtureRequest) -> Suite:
    return load_suite(request.param)


def pairs(suite: Suite) -> list[tuple[Pixels, Pixels]]:
    """Every image to be edited with its true edit."""
    return [
        (
            np.asarray(open_source(suite, subject.directory, k), np.int16),
            np.asarray(render_edit(suite, subject.directory, k), np.int16),
        )
        for subject in suite.subjects
        for k in range(3)
    ]


def test_subjects_and_references_are_the_first_of_the_suite_of_generations(suite: Suite) -> None:
    generations = load_suite(suite.name.replace("mini-edit", "mini"))
    assert suite.subjects == generations.subjects[:24]
    assert suite.images == generations.images[:96]
    subject = suite.subjects[5]
    one, other = (open_reference(asked, subject, "01.png") for asked in (suite, generations))
    assert one.tobytes() == other.tobytes()


def test_each_of_24_subjects_is_asked_for_in_three_images_as_imagenhub_asks(suite: Suite) -> None:
    cases = make_cases(suite, load_protocol(suite), suite.subjects, 1)
    assert len(cases) == 72
    assert cases[0].prompt == cases[2].prompt == "a photo of a mug"
    assert {case.reference for case in cases} == {"00.png"}


def test_every_image_to_be_edited_is_drawn_as_it_was_frozen(suite: Suite) -> None:
    assert suite.sources is not None
    for subject, images in suite.sources.items():
        for k, image in enumerate(images):
            drawn = open_source(suite, subject, k)
            assert (drawn.mode, drawn.size, image.bytes) == ("RGB", (32, 32), 3072)
            assert hashlib.sha256(drawn.tobytes()).hexdigest() == image.sha256


def test_the_tables_follow_from_suite_toml_and_the_prompts(suite: Suite, tmp_path: Path) -> None:
    shipped, folder = suite_folder(suite), tmp_path / suite.name / "1"
    folder.mkdir(parents=True)
    for file in ("suite.toml", "prompts_object.txt"):
        shutil.copy(shipped / file, folder)
    write_edit_tables(folder)
    for file in ("sources.tsv", "subjects.tsv", "images.tsv", "digest.txt"):
        assert (folder / file).read_text() == (shipped / file).read_text()


def test_an_edit_changes_the_subject_and_nothing_around_it(suite: Suite) -> None:
    for source, edit in pairs(suite):
        changed = (source != edit).any(axis=-1)
        assert 20 < changed.sum() < 400
        across = np.nonzero(changed.any(axis=0))[0]
        assert not changed[:4].any() and np.ptp(across) < 26


def test_images_to_be_edited_are_all_different_and_in_many_places(suite: Suite) -> None:
    sources = [source for source, _ in pairs(suite)]
    assert len({source.tobytes() for source in sources}) == 72
    corners = {source[:3].tobytes() for source in sources}
    assert len(corners) > 15


def test_nothing_is_in_both_suites() -> None:
    one, other = (
        {i.sha256 for images in (load_suite(key).sources or {}).values() for i in images}
        for key in ("mini-edit", "mini-edit-validation")
    )
    assert len(one) == len(other) == 72 and not one & other


def test_the_headline_leaves_nothing_open(suite: Suite) -> None:
    assert [finding.line for finding in lint(suite, load_protocol(suite))] == []


def test_a_sheet_shows_what_was_to_be_edited_beside_the_true_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    asked = make_plan(Request(method="copy-source", suite="mini-edit", limit_subjects=1))
    run, _ = execute(asked, tmp_path / "run")
    show([run], tmp_path / "sheet.png", subjects=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        row = [GAP + column * (CELL + GAP) for column in range(4)]
        top = LINE + GAP
        cells = [sheet.crop((left, top, left + CELL, top + CELL)).tobytes() for left in row]
    suite = asked.suite
    source, edit = open_source(suite, "mug-000", 0), render_edit(suite, "mug-000", 0)
    reference = open_reference(suite, suite.subjects[0], "00.png")
    expected = [
        image.resize((CELL, CELL), Image.Resampling.NEAREST).tobytes()
        for image in (reference, source, edit, source)
    ]
    assert cells == expected


def test_a_suite_of_generations_has_no_true_edits() -> None:
    with pytest.raises(ValueError, match="mini@1 is no suite of edits"):
        render_edit(load_suite("mini"), "mug-000", 0)
