"""Counts of trainings: those of the SFO paper's settings, and those of what really runs."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.api import Workspace
from bench.cost import FACTS, Budget, Extent
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.budgets import image_budget, passes
from bench.methods.classdiffusion import ClassDiffusion
from bench.methods.ddpo import Ddpo
from bench.methods.dpo_dino import DpoDino
from bench.methods.dreambooth import DreamBooth
from bench.methods.dreambooth_ti import DreamBoothTi
from bench.methods.guidance import parse
from bench.methods.rpo import Rpo
from bench.methods.sfo import Sfo
from bench.methods.sft_additional import SftAdditional
from bench.methods.sft_base import SftBase, SftOptions
from bench.methods.textual_inversion import TextualInversion
from tests.methods.tiny_subjects import CAR, MUG, OTHER_MUG, trained
from tests.methods.tiny_trainings import TINY, fresh, given_adapter, tiny

FLUX, MINI = FACTS["flux-dev"], FACTS["mini"]
ONE, SHOWN = Extent(), Extent(subjects=3, classes=2, images=3)
COUNTED = ("forwards", "backwards", "images")


def test_sft_base_is_ominicontrols_training() -> None:
    budget = SftBase.budget(SftOptions(), FLUX, ONE)
    assert (budget.steps, budget.examples) == (15_000, 120_000)
    assert budget.forwards == budget.backwards == 120_000
    assert budget.images == 0


def test_an_sft_adapter_that_is_there_costs_nothing(tmp_path: Path) -> None:
    given = SftOptions(adapter=tmp_path / "sft.safetensors")
    assert SftBase.budget(SftOptions(), MINI, ONE) == Budget()
    assert SftBase.budget(given, FLUX, ONE) == Budget()
    assert SftBase.budget(SftOptions(retrain=True), MINI, ONE).steps == 15_000


def tuned(factory: Any, **options: Any) -> Budget:
    """Of the tuning alone."""
    budget: Budget = factory.budget(factory.Options(**options), MINI, ONE)
    return budget


def test_sfo_at_its_papers_settings() -> None:
    budget = tuned(Sfo)
    assert (budget.steps, budget.examples, budget.images) == (300, 4800, 5000)
    assert (budget.forwards, budget.backwards) == (4 * 4800, 2 * 4800)
    assert budget.encoded == 5000 and not budget.on_demand


def test_pairs_are_counted_as_they_are_drawn() -> None:
    assert tuned(DpoDino).images == 10_000
    assert tuned(Sfo, pool=15_000).images == 15_000
    assert tuned(SftAdditional).images == 0
    assert tuned(SftAdditional).forwards == tuned(SftAdditional).backwards == 4800


def test_too_many_examples_are_not_encoded_ahead() -> None:
    budget = tuned(Sfo, negatives=30_000)
    assert budget.encoded == 0 and budget.on_demand


def test_pgs_dreambooth_takes_500_steps_a_subject_and_100_images_a_class() -> None:
    budget = DreamBooth.budget(DreamBooth.Options(), FLUX, Extent(subjects=30, classes=15))
    assert (budget.steps, budget.images) == (30 * 500, 15 * 100)
    assert budget.forwards == budget.backwards == 2 * 30 * 500
    assert budget.ranks == (4,) * 30 and budget.alone


def test_without_prior_preservation_nothing_is_drawn() -> None:
    budget = ClassDiffusion.budget(ClassDiffusion.Options(), MINI, ONE)
    assert (budget.images, budget.forwards) == (0, 500 * 2)


def test_an_image_is_descended_through_as_often_as_it_is_looked_at() -> None:
    sana = SimpleNamespace(iterations=50, loop_steps=20, through=3, rank=4)
    budget = image_budget(sana, 30)
    assert (budget.steps, budget.examples) == (1500, 1500)
    assert (budget.forwards, budget.backwards) == (1500 * 20, 1500 * 3)
    all_through = image_budget(SimpleNamespace(**{**vars(sana), "through": 99}), 1)
    assert all_through.backwards == all_through.forwards == 50 * 20


@pytest.mark.parametrize(
    ("rule", "answers"),
    [("none", 1), ("cfg", 2), ("pg", 2), ("cfg+ag", 3), ("sag", 3), ("autolora", 4)],
)
def test_guidance_is_passes_of_the_network(rule: str, answers: int) -> None:
    assert passes(parse(rule)) == answers
    assert TextualInversion.Options(rule=rule).passes == answers
    assert TextualInversion.Options().passes == 1


FEW: Mapping[str, Any] = {"steps": 1, "iterations": 3, "batch": 2}
FEW_LORA: Mapping[str, Any] = {**FEW, "rank": 2, "class_images": 2}
FEW_PAIRS: Mapping[str, Any] = {
    "rank": 2,
    "images": 1,
    "validation_images": 2,
    "judge": "mini-clip",
}
FEW_ROLLOUTS: Mapping[str, Any] = {
    **{
        "group": 2,
        "group_least": 2,
        "updates": 2,
        "sde_steps": 3,
        "fraction": 0.7,
        "tokens": "image",
    },
    **{"reward_iterations": 2, "reward_batch": 1, "reward_micro_batch": 1, "beta": 0.1},
}


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Counts of passes in trainings and of images drawn, kept while the test runs."""
    counts = dict.fromkeys(COUNTED, 0)
    predict, sample = FluxBackbone.predict, FluxBackbone.sample

    def spy(self: FluxBackbone, x: Any, *rest: Any, **others: Any) -> Any:
        answer = predict(self, x, *rest, **others)
        counts["forwards"] += len(x)
        counts["backwards"] += len(x) if answer.requires_grad else 0
        return answer

    def drawn(self: FluxBackbone, condition: Any, noise: Any, *rest: Any, **others: Any) -> Any:
        counts["images"] += len(noise)
        return sample(self, condition, noise, *rest, **others)

    monkeypatch.setattr(FluxBackbone, "predict", spy)
    monkeypatch.setattr(FluxBackbone, "sample", drawn)
    return counts


def said(budget: Budget) -> dict[str, int]:
    return {name: getattr(budget, name) for name in COUNTED}


@pytest.mark.parametrize(
    ("factory", "options"),
    [(Sfo, {}), (DpoDino, {}), (SftAdditional, {}), (Ddpo, FEW_ROLLOUTS)],
)
def test_a_training_takes_what_its_budget_says(
    factory: Any,
    options: Mapping[str, Any],
    workspace: Workspace,
    tmp_path: Path,
    passed: dict[str, int],
) -> None:
    method = tiny(factory, given_adapter(tmp_path), **options)
    method.train(workspace)
    asked = factory.Options(**{**TINY, **options, "adapter": method.options.adapter})
    budget = factory.budget(asked, MINI, ONE)
    if factory is DpoDino:  # pairs that are equally like the reference are not trained on
        assert passed["images"] == budget.images
    assert passed == said(budget)


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (DreamBooth, FEW_LORA),
        (DreamBoothTi, FEW_LORA),
        (ClassDiffusion, {**FEW_LORA, "prior": 0.0}),
        (TextualInversion, FEW),
        (Rpo, {**FEW, **FEW_PAIRS, "validate_every": 2}),
    ],
)
def test_trainings_of_three_subjects_of_two_classes_take_what_their_budget_says(
    factory: Any,
    options: Mapping[str, Any],
    workspace: Workspace,
    passed: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for built_in in ("SCENES", "MINI_SCENES"):
        monkeypatch.setattr(f"bench.methods.rpo_prompts.{built_in}", ("a {} at sea by day",))
    asked = factory.Options(**options)
    method = factory(fresh(), asked)
    for material in (MUG, CAR, OTHER_MUG):
        trained(method, material, workspace)
    passed["images"] -= SHOWN.images
    assert passed == said(factory.budget(asked, MINI, SHOWN))
