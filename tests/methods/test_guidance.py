"""Rules of guidance: by hand, as text, and who may ask for which."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Question, Workspace
from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Asked, Condition, Place, Text, Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.classdiffusion import ClassDiffusion
from bench.methods.dreambooth import DreamBooth
from bench.methods.dreambooth_options import DreamBoothOptions
from bench.methods.dreambooth_ti import DreamBoothTi
from bench.methods.guidance import KINDS, parse
from bench.methods.sft_base import GuidedOptions, SftOptions
from bench.methods.text_only import TextOnly
from bench.methods.textual_inversion import TextualInversion
from tests.methods.tiny_subjects import MUG
from tests.methods.tiny_subjects import question as asked_of
from tests.methods.tiny_trainings import fresh

TUNED: Weights = {"db": 1.0}
FREE, CONDITIONAL, BASE_FREE, BASE, NOUN = [torch.tensor([v]) for v in (1.0, 3.0, 0.5, 2.0, 2.5)]
"""Answers of the fine-tuned model without and with prompt, of the pre-trained one, and of the
fine-tuned one to the class's noun."""


def text(tokens: float) -> Text:
    return Text(torch.tensor([[[tokens]]]), torch.zeros(1, 1))


def nothing(tokens: float) -> Condition:
    return Condition(text(tokens), None, text(2.0))


def guided(text: str, t: float = 0.5) -> float:
    """The rule on a scripted network: its prompt is 1, its null prompt 0, its plain one 2."""
    rule = parse(text)
    script = {(0.0, 1.0): FREE, (1.0, 1.0): CONDITIONAL, (2.0, 1.0): NOUN}
    script |= {(0.0, 0.0): BASE_FREE, (1.0, 0.0): BASE}
    asks = rule.asks(nothing(1.0), lambda condition: nothing(0.0), TUNED)
    answers = [
        script[float(each.condition.text.tokens), each.weights.get("db", 0.0)] for each in asks
    ]
    return float(rule.combine(answers, Place(t)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", 3.0),
        ("cfg:7.5", 1 + 7.5 * 2),
        ("ag:2", 2 + 2 * (3 - 2)),
        ("pg:scale=7.5,omega=0", 0.5 + 7.5 * 2.5),
        ("pg:scale=7.5,omega=1", 1 + 7.5 * 2),
        ("cfg+ag:scale=7.5,ag=2", 1 + 7.5 * 2 + (2 - 1) * (3 - 2)),
        ("autolora:scale=7.5,ag=2,weak=3", 5 + 2 * (16 - 5)),
        ("sag:7.5", 1 + 7.5 * 2),
        ("sag:scale=7.5,sag=1.5", 1 + 7.5 * (1.5 * 3 - 0.5 * 2.5 - 1)),
        ("sag:scale=7.5,sag=0", 1 + 7.5 * (2.5 - 1)),
        ("cfg++:0.4", 1 + 0.4 * 2),
        ("pg++:0.4", 0.5 + 0.4 * 2.5),
    ],
)
def test_formulas_by_hand(text: str, expected: float) -> None:
    """AutoLoRA's pre-trained model under CFG is 0.5 + 3 * 1.5 = 5, the fine-tuned one 16."""
    assert guided(text) == pytest.approx(expected)


@pytest.mark.parametrize(("t", "followed"), [(0.91, 2.5), (0.9, 3.0), (0.1, 3.0)])
def test_where_noise_is_strongest_sag_follows_the_noun_alone(t: float, followed: float) -> None:
    """Whatever r is: sag = r + 1 acts from ``until`` on."""
    assert guided("sag:scale=4,until=0.9", t) == pytest.approx(1 + 4 * (followed - 1))
    assert guided("sag:scale=4,sag=3,until=1", t) == pytest.approx(1 + 4 * (4 - 1))
    assert guided("sag:scale=4,sag=3,until=0", t) == pytest.approx(1 + 4 * (2.5 - 1))


def test_sag_keeps_the_reference_and_needs_a_plain_prompt() -> None:
    seen = Condition(text(1.0), torch.ones(1, 1, 1), text(2.0))
    _, plain, whole = parse("sag").asks(seen, lambda condition: nothing(0.0), TUNED)
    assert plain == Asked(Condition(seen.plain, seen.reference), TUNED)
    assert whole == Asked(seen, TUNED)
    with pytest.raises(ValueError, match="needs a condition that has its plain prompt"):
        parse("sag").asks(Condition(text(1.0), None), lambda condition: nothing(0.0), TUNED)


def test_two_rules_of_ag_with_cfg_ask_three_and_four_times() -> None:
    weights = [
        [each.weights for each in parse(text).asks(nothing(1.0), lambda c: nothing(0.0), TUNED)]
        for text in ("cfg+ag", "autolora")
    ]
    assert weights == [[TUNED, TUNED, OFF], [OFF, OFF, TUNED, TUNED]]


@given(
    name=st.sampled_from(["pg", "pg++"]),
    scale=st.floats(0, 1),
    omega=st.floats(0, 1),
)
def test_rules_are_read_as_they_are_written(name: str, scale: float, omega: float) -> None:
    rule = parse(f"{name}:scale={scale!r},omega={omega!r}")
    assert parse(str(rule)) == rule
    assert (rule.scale, rule.omega) == (scale, omega)


@pytest.mark.parametrize("name", KINDS)
def test_a_name_alone_is_the_rule_at_its_defaults(name: str) -> None:
    assert parse(name) == KINDS[name]() == parse(str(parse(name)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cgf:7.5", "Unknown guidance 'cgf': did you mean cfg"),
        ("pg:scale=7.5,omga=0.6", "Unknown option of guidance pg 'omga'"),
        ("pg:omega=1.5", "omega=1.5 of guidance pg does not fit"),
        ("cfg:much", "scale=much of guidance cfg does not fit"),
        ("cfg:nan", "scale=nan of guidance cfg does not fit"),
        ("cfg++:7.5", "scale=7.5 of guidance cfg\\+\\+ does not fit"),
        ("none:2", "'2' is no option"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse(text)


def test_equal_rules_have_one_identity_and_none_given_leaves_it_as_it_was() -> None:
    short, long = GuidedOptions(rule="pg"), GuidedOptions(rule="pg:omega=0.6,scale=7.50")
    assert short.identity == long.identity != GuidedOptions().identity
    assert GuidedOptions().model_dump() == {"steps": None, "guidance": None}


def test_a_method_answers_under_its_rule(mini: FluxBackbone, question: Question) -> None:
    images = [
        TextOnly(mini, GuidedOptions(steps=2, rule=rule)).generate([question])[0].tobytes()
        for rule in ("backbone", "none", "cfg:5")
    ]
    assert images[0] == images[1] != images[2]


def test_a_rule_is_for_answers_and_not_for_what_is_drawn_to_train_on(question: Question) -> None:
    answers, drawn = set(), set()
    for rule in ("none", "cfg:5"):
        made = DreamBooth(fresh(), DreamBoothOptions(steps=2, token="", rule=rule))
        made.backbone.add_adapter("dreambooth", 2, 0, "image")
        answers.add(made.generate([question])[0].tobytes())
        drawn.add(made.model.draw(["a mug"], [0], OFF)[0].tobytes())
    assert (len(answers), len(drawn)) == (2, 1)


@pytest.mark.parametrize(
    ("factory", "options", "words"),
    [
        (DreamBooth, {"token": "sks", "class_images": 1}, "a sks red mug in snow"),
        (DreamBoothTi, {"class_images": 1}, "a <new1> <new2> red mug in snow"),
        (ClassDiffusion, {}, "a <new1> red mug in snow"),
        (TextualInversion, {}, "a <subject> in snow"),
    ],
)
def test_for_sag_the_class_stands_in_place_of_the_subject(
    workspace: Workspace, factory: Any, options: dict[str, Any], words: str
) -> None:
    """And for no other rule is that prompt read."""
    read: dict[str, list[str]] = {}
    for rule in ("sag:3", "cfg:3"):
        made = factory(fresh(), factory.Options(steps=1, iterations=1, rule=rule, **options))
        made.train_subject(replace(MUG, name="red mug"), workspace)
        heard = read.setdefault(rule, [])
        encode = made.backbone._encode_prompts
        made.backbone._encode_prompts = lambda prompts, e=encode, h=heard: (
            h.extend(prompts) or e(prompts)
        )
        made.generate([asked_of(replace(MUG, name="red mug"))])
    assert sorted(read["sag:3"]) == sorted(["", "a mug in snow", words])
    assert sorted(read["cfg:3"]) == sorted(["", words])


@pytest.mark.parametrize(
    "options", [GuidedOptions, SftOptions, partial(DreamBoothOptions, token="")]
)
def test_without_a_word_for_the_subject_sag_is_refused_in_one_sentence(options: Any) -> None:
    with pytest.raises(UserError, match=r"^The guidance sag asks for prompts .* a token\.$"):
        options(rule="sag:scale=5")
    assert options(rule="cfg:5").rule == "cfg:5.0"
