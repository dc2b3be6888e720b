"""A question brings what its suite has for it, and only methods that can answer are asked."""

from pathlib import Path

import numpy as np
import pytest

from bench.api import Case
from bench.errors import UserError
from bench.gallery import Gallery
from bench.plan import Plan, Request, make_cases, make_plan
from bench.protocols import load_protocol
from bench.questions import Questions
from bench.references import open_reference
from bench.run import execute
from bench.score import select
from bench.store import ImageStore
from bench.suites import Suite, load_suite


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))


def first_cases(name: str) -> tuple[Suite, list[Case]]:
    suite = load_suite(name)
    return suite, list(make_cases(suite, load_protocol(suite), suite.subjects[:2], 1))


def test_where_there_are_photographs_the_one_given_comes_with_the_question() -> None:
    suite, cases = first_cases("mini")
    question = Questions(Gallery(suite))(cases[0])
    given = open_reference(suite, suite.subjects[0], "00.png")
    assert (question.case, question.source) == (cases[0], None)
    assert np.array_equal(np.asarray(question.reference), np.asarray(given))


def test_a_photograph_is_opened_once_for_all_questions_about_its_subject() -> None:
    suite, cases = first_cases("mini")
    asked = Questions(Gallery(suite))
    opened = [id(asked(case).reference) for case in cases]
    assert len(opened) == 12 and len(set(opened)) == 2


def test_where_there_are_none_the_prompt_comes_alone() -> None:
    suite, cases = first_cases("partiprompts")
    question = Questions(Gallery(suite))(cases[1])
    assert question.case.prompt == "element" and question.photograph is None
    with pytest.raises(ValueError, match=r"0001/00-0\.png comes without a photograph"):
        _ = question.reference


def plan(method: str, suite: str) -> Plan:
    asked = Request(method=method, suite=suite, backbone="mini", options={"steps": "1"})
    return make_plan(asked.model_copy(update={"limit_subjects": 2}))


def test_text_alone_is_enough_for_a_suite_without_photographs(tmp_path: Path) -> None:
    asked = plan("text-only", "partiprompts")
    scored = select(asked.protocol, ["clip_t:mini-clip"])
    folder, result = execute(asked.model_copy(update={"protocol": scored}), tmp_path / "run")
    assert ImageStore(folder / "images").has_all(["0000/00-0.png", "0001/00-0.png"])
    assert [told.n for told in result.metrics.values()] == [2]


def test_a_method_that_needs_photographs_is_not_asked_without_them() -> None:
    with pytest.raises(UserError, match=r"no photographs that 'sft-base' could be given; choose a"):
        plan("sft-base", "partiprompts")


def test_a_method_that_edits_is_not_asked_where_nothing_is_to_be_edited() -> None:
    with pytest.raises(UserError, match=r"^'copy-source' edits images, and mini@1 has none to be"):
        make_plan(Request(method="copy-source", suite="mini"))
