"""Counts of trainings: those of the SFO paper's settings, and those of what really runs."""

from pathlib import Path
from typing import Any

import pytest

from bench.api import Workspace
from bench.cost import FACTS, Budget
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.ddpo import Ddpo
from bench.methods.dpo_dino import DpoDino
from bench.methods.sfo import Sfo
from bench.methods.sft_additional import SftAdditional
from bench.methods.sft_base import SftBase, SftOptions
from tests.methods.tiny_trainings import TINY, given_adapter, tiny

FLUX, MINI = FACTS["flux-dev"], FACTS["mini"]


def test_sft_base_is_ominicontrols_training() -> None:
    budget = SftBase.budget(SftOptions(), FLUX)
    assert (budget.steps, budget.examples) == (15_000, 120_000)
    assert budget.forwards == budget.backwards == 120_000
    assert budget.images == 0


def test_an_sft_adapter_that_is_there_costs_nothing(tmp_path: Path) -> None:
    assert SftBase.budget(SftOptions(), MINI) == Budget()
    assert SftBase.budget(SftOptions(adapter=tmp_path / "sft.safetensors"), FLUX) == Budget()
    assert SftBase.budget(SftOptions(retrain=True), MINI).steps == 15_000


def tuned(factory: Any, **options: Any) -> Budget:
    """Of the tuning alone."""
    budget: Budget = factory.budget(factory.Options(**options), MINI)
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


def test_a_method_that_trains_in_its_own_way_says_nothing() -> None:
    assert Ddpo.budget(Ddpo.Options(), FLUX) is None


@pytest.mark.parametrize("factory", [Sfo, DpoDino, SftAdditional])
def test_a_training_takes_what_its_budget_says(
    factory: Any, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = {"forwards": 0, "backwards": 0, "images": 0}
    predict, sample = FluxBackbone.predict, FluxBackbone.sample

    def spy(self: FluxBackbone, x: Any, *rest: Any, **others: Any) -> Any:
        answer = predict(self, x, *rest, **others)
        passed["forwards"] += len(x)
        passed["backwards"] += len(x) if answer.requires_grad else 0
        return answer

    def drawn(self: FluxBackbone, condition: Any, noise: Any, *rest: Any) -> Any:
        passed["images"] += len(noise)
        return sample(self, condition, noise, *rest)

    monkeypatch.setattr(FluxBackbone, "predict", spy)
    monkeypatch.setattr(FluxBackbone, "sample", drawn)
    method = tiny(factory, given_adapter(tmp_path))
    method.train(workspace)
    options = factory.Options(**{**TINY, "adapter": method.options.adapter})
    budget = factory.budget(options, MINI)
    if factory is DpoDino:  # pairs that are equally like the reference are not trained on
        assert passed["images"] == budget.images
    assert passed == {name: getattr(budget, name) for name in passed}
