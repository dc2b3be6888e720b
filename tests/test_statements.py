"""A protocol field by field, with what each field rests on."""

from typing import Any

import pytest

from bench.protocols import MetricSpec, Protocol, load_protocol
from bench.statements import Statement, statements
from bench.suites import Suite, load_suite


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("dreambench@1")


def told(suite: Suite, **changed: Any) -> dict[str, Statement]:
    protocol: Protocol = load_protocol(suite, "headline@1").model_copy(update=changed)
    return {statement.field: statement for statement in statements(suite, protocol)}


def test_every_field_that_a_number_depends_on_is_there_in_order(suite: Suite) -> None:
    metric = ("metric", "encoder", "references", "region", "precision")
    assert list(told(suite)) == [
        *("suite", "name_in_prompt", "seeds", "input_reference", "sampling"),
        *("scored_text", "average", "reported", "mini_weights", "metrics"),
        *(f"dino.{part}" for part in metric),
        *(f"clip_i.{part}" for part in metric),
        *(f"clip_t.{part}" for part in metric if part != "references"),
    ]


def test_source_and_choice_stand_together_the_most_special_first(suite: Suite) -> None:
    found = told(
        suite,
        sources={"metrics": "the paper", "dino.encoder": "evaluate.py"},
        choices={
            "dino": "as others do",
            "input_references": "any would do",
            "metrics": "FID is left out",
        },
    )
    assert found["dino.encoder"].ground == "evaluate.py; choice: as others do"
    assert found["clip_i.encoder"].ground == "the paper"
    assert found["metrics"].ground == "the paper; choice: FID is left out"
    assert found["input_reference"].ground == "choice: any would do"
    assert found["seeds"].ground is None


def test_what_is_said_of_sampling_holds_for_all_of_it(suite: Suite) -> None:
    found = told(suite, sampling={"steps": "100", "guidance": "7.5"}, sources={"sampling": "main"})
    assert [found[f"sampling.{key}"].words for key in ("steps", "guidance")] == ["100", "7.5"]
    assert found["sampling.steps"].source == "main" and "sampling" not in found


def test_one_file_name_for_all_subjects_is_said_once() -> None:
    found = told(load_suite("mini@1"))
    assert found["input_reference"].words == "00.png of every subject"


@pytest.mark.parametrize(
    ("references", "photographs"), [("all", 158), ("input", 30), ("all-but-input", 128)]
)
def test_a_metric_of_a_set_says_what_it_is_made_of(
    suite: Suite, references: Any, photographs: int
) -> None:
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf", references=references)
    found = told(suite, metrics=(fid,))
    assert found["fid.n"].words == f"3000 images against {photographs} photographs"


def test_a_metric_says_what_it_holds_images_against_where_these_are_no_photographs(
    suite: Suite,
) -> None:
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf", against="vanilla")
    found = told(suite, metrics=(fid,))
    assert "without the subject" in found["fid.against"].words
    assert "fid.references" not in found
    assert found["fid.n"].words == "3000 images against as many"


def test_a_metric_that_nothing_answers_to_is_shown_for_what_it_is(suite: Suite) -> None:
    found = told(suite, metrics=(MetricSpec(metric="dyno", encoder="dino-vits16"),))
    assert found["dyno.metric"].words == "dyno, not known here"
