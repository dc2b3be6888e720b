"""What is known of the prompts behind a run's rows."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.identity import identity
from bench.paths import datasets_folder
from bench.prompts import KINDS_FILE, Prompts, prompts_of, read_prompts
from bench.results import read_measured
from bench.suites import load_suite, read_table


@pytest.mark.parametrize(
    ("suite", "kinds"),
    [
        ("mini@1", {"place and time": 2, "second object": 3, "recolour": 1}),
        ("mini-validation@1", {"place and time": 2, "second object": 3, "recolour": 1}),
        ("dreambench@1", {"scene": 20, "accessory": 10, "attribute": 5}),
        ("vico@1", {"scene": 27, "accessory": 10, "attribute": 4}),
    ],
)
def test_every_template_of_these_suites_has_a_kind(suite: str, kinds: dict[str, int]) -> None:
    known = load_suite(suite)
    prompts = read_prompts(known)
    templates = {*known.prompts_object, *known.prompts_live}
    assert prompts.kinds.keys() == templates
    assert Counter(prompts.kinds.values()) == kinds


def test_what_dreambench_asks_of_objects_and_of_the_living_differs_in_kind() -> None:
    prompts = read_prompts(load_suite("dreambench@1"))
    backpack = [prompts.kind(("backpack", index, 0)) for index in range(25)]
    cat = [prompts.kind(("cat", index, 0)) for index in range(25)]
    assert backpack == ["scene"] * 20 + ["attribute"] * 5
    assert cat == ["scene"] * 10 + ["accessory"] * 10 + ["attribute"] * 5


def test_prompts_are_the_same_where_their_templates_are() -> None:
    prompts = read_prompts(load_suite("dreambench@1"))
    assert prompts.prompt(("backpack", 0, 1)) == prompts.prompt(("cat", 0, 2))
    assert prompts.prompt(("backpack", 10, 0)) != prompts.prompt(("cat", 10, 0))


def test_kinds_may_be_stated_by_index_where_every_subject_has_prompts_of_its_own() -> None:
    table = datasets_folder() / "dreambench-plus/1"
    rows = read_table(table / KINDS_FILE)
    prompts = Prompts({("cat", 5): "a {} in oil"}, {row["prompt"]: row["kind"] for row in rows})
    told = [prompts.kind(("cat", index, 0)) for index in range(9)]
    assert told == ["photorealistic"] * 4 + ["style"] * 3 + ["imaginative"] * 2


def test_a_prompt_that_nothing_is_known_of_is_told_by_its_index() -> None:
    assert Prompts().prompt(("cat", 3, 0)) == "prompt 3"
    assert Prompts().kind(("cat", 3, 0)) is None


def test_prompts_of_a_suite_that_is_gone_or_was_another_are_not_guessed(
    make_run: Callable[..., Path],
) -> None:
    known = read_measured(make_run("sfo")).result
    assert prompts_of(known).templates
    assert prompts_of(known.model_copy(update={"suite": "gone@1"})) == Prompts()
    assert prompts_of(known.model_copy(update={"suite_identity": identity("x")})) == Prompts()
