"""What differs between two protocols."""

from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest

from bench.protocol_diff import Asked, Difference, differences
from bench.protocols import MetricSpec, Protocol, list_protocols, load_protocol
from bench.suites import Suite, list_suites, load_suite
from tests.stand_ins import stand_in

SHIPPED = [(suite, protocol) for suite in list_suites() for protocol in list_protocols(suite)]

PAIRS = [(a, b) for a, b in combinations_with_replacement(SHIPPED, 2) if a[1].suite == b[1].suite]

NAMED = {
    "name_in_prompt": ("descriptive name", "class noun"),
    "scored_text": (
        "the prompt as asked, with the descriptive name",
        "the prompt as asked, with the class noun",
    ),
}
ONE = ("all photographs of the subject", "the one photograph given to the method")
KOSMOS_G = {
    **NAMED,
    "dino.references": ONE,
    "clip_i.references": ONE,
    "reported": ("raw", "x 100, mean not below 0"),
}


def named(asked: Asked) -> str:
    return asked[1].suite + asked[1].key


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("dreambench@1")


@pytest.fixture(scope="module")
def headline(suite: Suite) -> Protocol:
    return load_protocol(suite, "headline@1")


def told(suite: Suite, a: Protocol, b: Protocol) -> dict[str, tuple[str | None, str | None]]:
    return {one.field: (one.a, one.b) for one in differences((suite, a), (suite, b))}


def test_what_images_are_held_against(suite: Suite, headline: Protocol) -> None:
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf")
    sides = [
        headline.model_copy(update={"metrics": (fid.model_copy(update={"against": against}),)})
        for against in ("references", "vanilla", "sources")
    ]
    without = "the image that the backbone makes of the same prompt without the subject"
    assert told(suite, sides[0], sides[1]) == {
        "fid.references": ("all photographs of the subject", None),
        "fid.against": (None, without),
        "fid.n": ("3000 images against 158 photographs", "3000 images against as many"),
    }
    edited = "the image that was to be edited"
    assert told(suite, sides[1], sides[2]) == {"fid.against": (without, edited)}
    assert f"against {without};" in str(told(suite, headline, sides[1])["fid"][1])


def test_the_name_in_the_prompt(suite: Suite, headline: Protocol) -> None:
    other = load_protocol(suite, "class-noun@1")
    assert told(suite, headline, other) == NAMED


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"seeds": 1}, {"seeds": ("4 per prompt", "1 per prompt")}),
        (
            {"scored_text": "template"},
            {"scored_text": (NAMED["scored_text"][0], "the template with its {} left in")},
        ),
        (
            {"average": "subjects"},
            {"average": ("over images", "over subjects of the means over their images")},
        ),
        ({"reported": "x 100"}, {"reported": ("raw", "x 100")}),
        (
            {"sampling": {"steps": "100", "guidance": "7.5"}},
            {
                "sampling.steps": (None, "100"),
                "sampling.guidance": (None, "7.5"),
            },
        ),
        ({"name": "other", "version": 7, "description": "Something else."}, {}),
    ],
)
def test_one_changed_field_is_one_difference_in_words(
    suite: Suite, headline: Protocol, changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert told(suite, headline, headline.model_copy(update=changed)) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"encoder": "dino-vits8"}, {"dino.encoder": ("dino-vits16", "dino-vits8")}),
        (
            {"references": "input"},
            {
                "dino.references": (
                    "all photographs of the subject",
                    "the one photograph given to the method",
                )
            },
        ),
        ({"region": "box"}, {"dino.region": ("whole", "box")}),
        ({"precision": "fp16"}, {"dino.precision": ("fp32", "fp16")}),
        ({"metric": "ir", "name": "dino"}, {"dino.metric": ("dino@1", "ir@1")}),
    ],
)
def test_a_metric_is_compared_part_by_part(
    suite: Suite, headline: Protocol, changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    first, *rest = headline.metrics
    metrics = (first.model_copy(update=changed), *rest)
    assert told(suite, headline, headline.model_copy(update={"metrics": metrics})) == expected


def test_references_mean_nothing_to_metrics_of_text(suite: Suite, headline: Protocol) -> None:
    *rest, clip_t = headline.metrics
    metrics = (*rest, clip_t.model_copy(update={"references": "input"}))
    assert told(suite, headline, headline.model_copy(update={"metrics": metrics})) == {}


def test_a_metric_that_one_side_alone_has_is_one_difference(
    suite: Suite, headline: Protocol
) -> None:
    more = MetricSpec(metric="dino", name="dino.v2", encoder="dinov2-vits14", references="input")
    other = headline.model_copy(update={"metrics": (*headline.metrics[1:], more)})
    assert told(suite, headline, other) == {
        "metrics": ("dino, clip_i, clip_t", "clip_i, clip_t, dino.v2"),
        "dino": ("dino@1; encoder dino-vits16; all photographs of the subject; fp32", None),
        "dino.v2": (
            None,
            "dino@1; encoder dinov2-vits14; the one photograph given to the method; fp32",
        ),
    }


def test_the_subjects_whose_photograph_differs_are_counted_and_named(
    suite: Suite, headline: Protocol
) -> None:
    given = headline.input_references
    other = headline.model_copy(
        update={"input_references": {**given, "cat": "00.jpg", "vase": "01.jpg"}}
    )
    assert told(suite, headline, other) == {
        "input_reference of 2 of 30 subjects": (
            f"cat {given['cat']}, vase {given['vase']}",
            "cat 00.jpg, vase 01.jpg",
        )
    }


def test_a_set_metric_differs_in_the_numbers_it_is_made_of(
    suite: Suite, headline: Protocol
) -> None:
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf")
    one = headline.model_copy(update={"metrics": (fid,)})
    found = told(suite, one, one.model_copy(update={"seeds": 1}))
    sizes = ("3000 images against 158 photographs", "750 images against 158 photographs")
    assert found["fid.n"] == sizes


def test_what_a_side_rests_on_stands_beside_it(suite: Suite, headline: Protocol) -> None:
    stated = headline.model_copy(update={"sources": {"seeds": "the paper, section 4"}})
    chosen = headline.model_copy(update={"seeds": 2, "choices": {"seeds": "halves the cost"}})
    assert differences((suite, stated), (suite, chosen)) == [
        Difference(
            field="seeds",
            a="4 per prompt",
            b="2 per prompt",
            ground_a="the paper, section 4",
            ground_b="choice: halves the cost",
        )
    ]


@pytest.mark.parametrize(
    "key", ["dino.encoder", "metrics.dino.encoder", "dino", "metrics.encoder", "metrics"]
)
def test_a_field_of_a_metric_may_be_stated_for_all_or_for_it_alone(
    suite: Suite, headline: Protocol, key: str
) -> None:
    first, *rest = headline.metrics
    stated = headline.model_copy(update={"sources": {key: "evaluate.py"}})
    other = headline.model_copy(
        update={"metrics": (first.model_copy(update={"encoder": "dino-vits8"}), *rest)}
    )
    (found,) = differences((suite, stated), (suite, other))
    assert (found.ground_a, found.ground_b) == ("evaluate.py", None)


def test_suites_differ_in_what_they_ask_about(suite: Suite, headline: Protocol) -> None:
    mini = load_suite("mini@1")
    found = differences((suite, headline), (mini, load_protocol(mini)))
    assert found[0].field == "suite"
    assert found[0].a == "dreambench@1: 30 subjects, 750 prompts"
    assert not any("input_reference" in one.field for one in found), "they share no subject"


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=named)
def test_nothing_differs_from_itself_and_sides_may_be_swapped(a: Asked, b: Asked) -> None:
    found, back = differences(a, b), differences(b, a)
    assert {(one.field, one.a, one.b) for one in found} == {
        (one.field, one.b, one.a) for one in back
    }
    assert all(one.a != one.b for one in found)
    assert not found or a != b


def test_kosmos_g_names_counts_and_reports_otherwise_than_the_headline(
    suite: Suite, headline: Protocol
) -> None:
    assert told(suite, headline, load_protocol(suite, "kosmos-g@1")) == {
        **KOSMOS_G,
        "sampling.steps": (None, "100"),
        "sampling.guidance": (None, "7.5"),
        "sampling.seed": (None, "0"),
    }


def test_sfo_and_kosmos_g_differ_in_all_that_is_known_of_the_two(suite: Suite) -> None:
    sfo, kosmos_g = load_protocol(suite, "sfo@1"), load_protocol(suite, "kosmos-g@1")
    assert told(suite, sfo, kosmos_g) == {
        **KOSMOS_G,
        "sampling.steps": ("28", "100"),
        "sampling.guidance": ("3.5", "7.5"),
        "sampling.seed": ("four different ones, not stated", "0"),
    }


def test_beside_sfos_side_stands_what_the_paper_says_and_what_it_leaves_open(suite: Suite) -> None:
    sfo, kosmos_g = load_protocol(suite, "sfo@1"), load_protocol(suite, "kosmos-g@1")
    rests = {one.field: one.ground_a or "" for one in differences((suite, sfo), (suite, kosmos_g))}
    assert "Sec. D.3" in rests["name_in_prompt"] and "Sec. 4.1" in rests["sampling.steps"]
    assert rests["dino.references"].startswith("choice: the paper says the reference image")


def test_sfo_asks_and_scores_as_the_headline_and_says_how_it_draws(
    suite: Suite, headline: Protocol
) -> None:
    found = told(suite, headline, load_protocol(suite, "sfo@1"))
    assert set(found) == {"sampling.steps", "sampling.guidance", "sampling.seed"}


def test_the_official_text_score_of_customconcept101_is_not_sfos(tmp_path: Path) -> None:
    concepts = stand_in("customconcept101", tmp_path)
    official, sfo = load_protocol(concepts, "official@1"), load_protocol(concepts, "sfo@1")
    found = told(concepts, official, sfo)
    assert found["seeds"] == ("5 per prompt", "4 per prompt")
    assert found["metrics"] == ("dino, clip_i, clip_score_bare", "dino, clip_i, clip_t")
    assert found["clip_i.precision"] == ("fp16", "fp32")


def test_rpo_and_the_scorer_of_dreambench_plus_see_through_other_encoders(suite: Suite) -> None:
    class_noun = load_protocol(suite, "class-noun@1")
    rpo = told(suite, class_noun, load_protocol(suite, "rpo@1"))
    assert rpo["clip_i.encoder"] == ("clip-vitb32-openai", "clip-vitb16-openai")
    scorer = told(suite, class_noun, load_protocol(suite, "dreambench-plus-scorer@1"))
    assert scorer["dino.encoder"] == ("dino-vits16", "dino-vits8")
    assert scorer["dinov2"][0] is None
