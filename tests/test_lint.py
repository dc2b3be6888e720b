"""What a protocol leaves open is found, by rule."""

from pathlib import Path
from typing import Any

import pytest

from bench.lint import RULES, lint
from bench.protocols import MetricSpec, Protocol, list_protocols, load_protocol
from bench.suites import Suite, list_suites, load_suite

DINO = MetricSpec(metric="dino", encoder="dino-vits16")
CLIP_T = MetricSpec(metric="clip_t", encoder="clip-vitb32-openai")
FIELDS = ("name_in_prompt", "seeds", "input_reference", "average", "sampling", "metrics")
STATED = dict.fromkeys(FIELDS, "the paper, section 4")


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("dreambench@1")


@pytest.fixture
def stated(suite: Suite) -> Protocol:
    """A protocol that leaves nothing open."""
    changed = {"metrics": (DINO,), "sources": STATED}
    return load_protocol(suite, "headline@1").model_copy(update=changed)


def found(suite: Suite, protocol: Protocol, **changed: Any) -> dict[str, str]:
    told = lint(suite, protocol.model_copy(update=changed))
    assert len({finding.rule for finding in told}) == len(told)
    return {finding.rule: finding.sentence for finding in told}


def test_nothing_is_found_where_nothing_is_open(suite: Suite, stated: Protocol) -> None:
    assert found(suite, stated) == {}


@pytest.mark.parametrize("field", STATED)
def test_a_field_is_to_be_stated_or_chosen(suite: Suite, stated: Protocol, field: str) -> None:
    others = {key: words for key, words in STATED.items() if key != field}
    (sentence,) = found(suite, stated, sources=others).values()
    named = {"metrics": "dino.encoder"}.get(field, field)
    assert sentence.startswith("neither source nor choice for ") and named in sentence
    chosen = "dino" if field == "metrics" else field
    assert found(suite, stated, sources=others, choices={chosen: "it is cheap"}) == {}


def test_why_these_metrics_says_nothing_of_how_each_is_computed(
    suite: Suite, stated: Protocol
) -> None:
    others = {key: words for key, words in STATED.items() if key != "metrics"}
    told = found(suite, stated, sources=others, choices={"metrics": "FID is left out"})
    assert "dino.encoder" in told["unstated"]


def test_the_text_is_to_be_stated_where_metrics_read_it(suite: Suite, stated: Protocol) -> None:
    assert "scored_text" in found(suite, stated, metrics=(DINO, CLIP_T))["unstated"]
    sources = {**STATED, "scored_text": "evaluate.py"}
    assert found(suite, stated, metrics=(DINO, CLIP_T), sources=sources) == {}


def test_what_stays_at_a_value_that_says_nothing_need_not_be_stated(
    suite: Suite, stated: Protocol
) -> None:
    parts = {f"dino.{part}": "evaluate.py" for part in ("metric", "encoder", "references")}
    sources = {**{key: words for key, words in STATED.items() if key != "metrics"}, **parts}
    assert found(suite, stated, sources=sources) == {}
    half = DINO.model_copy(update={"precision": "fp16"})
    told = found(suite, stated, sources=sources, metrics=(half,), reported="x 100")
    assert "reported, dino.precision:" in told["unstated"]


def test_a_set_metric_is_to_say_how_many_images_it_is_made_of(
    suite: Suite, stated: Protocol
) -> None:
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf")
    parts = {f"fid.{part}": "main.py" for part in ("metric", "encoder", "references")}
    sources = {**{key: words for key, words in STATED.items() if key != "metrics"}, **parts}
    told = found(suite, stated, metrics=(fid,), sources=sources)
    assert told == {"unstated": told["unstated"]} and " fid.n:" in told["unstated"]
    assert found(suite, stated, metrics=(fid,), sources=sources, choices={"fid.n": "all"}) == {}


def test_a_statement_about_no_field_is_a_slip(suite: Suite, stated: Protocol) -> None:
    told = found(suite, stated, choices={"seedz": "four"})
    assert told == {
        "stray-statement": "[choices] speaks of 'seedz', which is no field of this protocol."
    }


def test_a_statement_about_a_field_that_a_metric_does_not_use_is_none(
    suite: Suite, stated: Protocol
) -> None:
    sources = {**STATED, "scored_text": "evaluate.py", "clip_t.references": "there are none"}
    assert found(suite, stated, metrics=(CLIP_T,), sources=sources) == {}


def test_names_that_nothing_answers_to(suite: Suite, stated: Protocol) -> None:
    unknown = MetricSpec(metric="dino", encoder="dino-vits17")
    assert found(suite, stated, metrics=(unknown,)) == {
        "unknown-name": "'dino' needs the encoder 'dino-vits17', and nothing is registered as that."
    }
    unheard = MetricSpec(metric="dyno", encoder="dino-vits16")
    assert "the metric 'dyno'" in found(suite, stated, metrics=(unheard,))["unknown-name"]


def test_a_region_is_to_stand_beside_how_often_it_was_found(suite: Suite, stated: Protocol) -> None:
    box = DINO.model_copy(update={"region": "box"})
    told = found(suite, stated, metrics=(box,))
    assert set(told) == {"ungrounded-region"} and "'dino' looks at the region 'box'" in str(told)
    grounded = MetricSpec(metric="grounded", encoder="dino-vits16", region="subject")
    assert set(found(suite, stated, metrics=(box, grounded))) == {"ungrounded-region"}
    beside = grounded.model_copy(update={"region": "box"})
    assert found(suite, stated, metrics=(box, beside)) == {}


def test_leaving_the_input_out_takes_a_second_photograph(suite: Suite, stated: Protocol) -> None:
    others = DINO.model_copy(update={"references": "all-but-input"})
    assert found(suite, stated, metrics=(others,)) == {}
    first, *rest = suite.subjects
    lone = first.model_copy(update={"references": first.references[:1]})
    poor = suite.model_copy(update={"subjects": (lone, *rest)})
    told = found(poor, stated, metrics=(others,))
    assert set(told) == {"no-photograph"} and told["no-photograph"].endswith("backpack.")
    assert found(poor, stated) == {}


def test_one_seed_has_nothing_to_differ_from(suite: Suite, stated: Protocol) -> None:
    diversity = MetricSpec(metric="diversity_lpips", encoder="lpips-alex")
    assert found(suite, stated, metrics=(diversity,)) == {}
    assert set(found(suite, stated, metrics=(diversity,), seeds=1)) == {"lone-image"}


def test_what_images_are_held_against_is_to_be_there(suite: Suite, stated: Protocol) -> None:
    sources = {**STATED, "metrics.against": "the paper, section 4"}
    fid = MetricSpec(metric="fid", encoder="inception-2015-tf", against="vanilla")
    assert found(suite, stated, metrics=(fid,), sources=sources) == {}
    edited = fid.model_copy(update={"against": "sources"})
    told = found(suite, stated, metrics=(edited,), sources=sources)
    assert set(told) == {"no-counterpart"} and "dreambench@1 has none" in told["no-counterpart"]
    text = CLIP_T.model_copy(update={"against": "vanilla"})
    sources |= {"scored_text": "evaluate.py"}
    told = found(suite, stated, metrics=(text,), sources=sources)
    assert told == {"no-counterpart": "'clip_t' holds images against no others: remove against."}


def test_a_template_that_is_scored_as_it_stands(suite: Suite, stated: Protocol) -> None:
    sources = {**STATED, "scored_text": "evaluate.py"}
    changed = {"scored_text": "template", "sources": sources}
    told = found(suite, stated, metrics=(DINO, CLIP_T), **changed)
    assert set(told) == {"literal-template"}
    assert told["literal-template"].startswith("clip_t read the template with its {} left in")
    assert found(suite, stated, **changed) == {}, "no metric reads it"


def test_a_fixed_photograph_that_nobody_counts(suite: Suite, stated: Protocol) -> None:
    changed = {
        "fixed_references": stated.input_references,
        "sources": {**STATED, "fixed_reference": "its list"},
    }
    assert set(found(suite, stated, **changed)) == {"unused-reference"}
    fixed = DINO.model_copy(update={"references": "fixed"})
    assert found(suite, stated, metrics=(fixed,), **changed) == {}


def test_every_rule_is_tested_here_by_name() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert [rule for rule in RULES if f'"{rule}"' not in text] == []


def test_what_ships_with_sources_leaves_nothing_open() -> None:
    stated = [(s, p) for s in list_suites() for p in list_protocols(s) if p.sources]
    rules = ["literal-template"]
    assert [one.line for s, p in stated for one in lint(s, p, rules)] == []
    assert {p.key for _, p in stated} >= {"kosmos-g@1", "rpo@1", "siso@1", "dreammatcher@1"}
