"""Anchors of edits: one keeps all and changes nothing, the other is the true edit."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import registry
from bench.api import Question
from bench.brought import score_images
from bench.errors import UserError
from bench.gallery import Gallery
from bench.identity import file_digest
from bench.methods.anchors import NoOptions
from bench.methods.edit_anchors import CopySource, OracleEdit
from bench.mini.edits import render_edit
from bench.plan import Request, make_cases, make_plan
from bench.protocols import load_protocol
from bench.questions import Questions
from bench.references import open_reference
from bench.results import RunResult
from bench.run import execute
from bench.suites import load_suite

SUITE = load_suite("mini-edit")
CASE = make_cases(SUITE, load_protocol(SUITE), SUITE.subjects[:1], 1)[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunResult]:
    """Both anchors on four subjects, where no backbone can be loaded."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(out / "home"))
        patch.setitem(registry.BUILT_IN, "backbone", {"mini": "nowhere:a"})
        plans = {
            name: make_plan(Request(method=name, suite="mini-edit", limit_subjects=4))
            for name in ("copy-source", "oracle-edit")
        }
        return {name: execute(plan, out / name)[1] for name, plan in plans.items()}


def means(result: RunResult) -> dict[str, float]:
    return {name: told.mean for name, told in result.metrics.items()}


def test_doing_nothing_keeps_the_background_and_shows_a_stranger(
    results: dict[str, RunResult],
) -> None:
    nothing = means(results["copy-source"])
    assert nothing["background_mse"] == 0 and nothing["grounded"] == 1
    assert nothing["dino"] < 0.3


def test_the_true_edit_keeps_the_background_and_shows_the_subject(
    results: dict[str, RunResult],
) -> None:
    nothing, true = means(results["copy-source"]), means(results["oracle-edit"])
    assert true["background_mse"] == pytest.approx(0, abs=1e-4) and true["grounded"] == 1
    assert true["dino"] > 0.8 and true["clip_i"] > nothing["clip_i"] + 0.1


def test_an_answer_elsewhere_loses_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference on its white, put in the place of an edit."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    open_reference(SUITE, SUITE.subjects[0], "00.png").save(tmp_path / "white.png")
    drawn = [(CASE, tmp_path / "white.png", file_digest(tmp_path / "white.png"))]
    protocol = load_protocol(SUITE)
    _, result = score_images(SUITE, protocol, protocol, drawn, "white", True, tmp_path / "out")
    told = means(result)
    assert told["background_mse"] > 0.05 and told["grounded"] == 1
    assert told["dino"] == pytest.approx(1, abs=1e-4)


def test_questions_bring_the_image_to_be_edited_and_the_reference() -> None:
    question = Questions(Gallery(SUITE))(CASE)
    assert question.source is not None
    assert CopySource(None, NoOptions()).answer(question).tobytes() == question.source.tobytes()
    given = open_reference(SUITE, SUITE.subjects[0], "00.png")
    assert question.reference.tobytes() == given.tobytes()


def test_without_an_image_to_be_edited_nothing_can_be_copied() -> None:
    with pytest.raises(ValueError, match=r"mug-000/01-0\.png comes without an image to be edited"):
        CopySource(None, NoOptions()).answer(Question(CASE, None))


def test_true_edits_are_those_of_the_world() -> None:
    shown = OracleEdit(None, NoOptions()).answer(Question(CASE, None))
    assert shown.tobytes() == render_edit(SUITE, CASE.subject, CASE.prompt_index).tobytes()


def test_of_photographs_nobody_knows_the_true_edit() -> None:
    asked = replace(CASE, suite="dreambench@1")
    with pytest.raises(UserError, match="Nobody knows the true edits of dreambench@1"):
        OracleEdit(None, NoOptions()).answer(Question(asked, None))


@pytest.mark.parametrize("method", ["oracle", "text-only"])
def test_methods_that_edit_nothing_are_refused(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"mini-edit@1 asks for edits of images, and '{method}'"):
        make_plan(Request(method=method, suite="mini-edit"))
