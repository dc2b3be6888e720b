"""The objectives of the one trainer: pairs share noise and time, only the adapter moves."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import Comparison, FlowMatching
from bench.methods.examples import Batch, Example, Examples, OnDemand
from bench.methods.loop import Recipe, Training
from bench.methods.objectives import LOGIT_NORMAL, Convention, Timesteps

AddTrained = Callable[..., None]
SFT, BOTH = {"sft": 1.0}, {"sft": 1.0, "sfo": 1.0}
SFO = Comparison(SFT, BOTH, beta=1000.0)


@pytest.fixture
def batch(backbone: FluxBackbone, colours: Callable[..., Any]) -> Callable[[int], Batch]:
    """``batch(size)``: triplets of plain colours with a negative each."""
    corpus = colours(backbone.spec.resolution, 5)
    pairs = [Example(i, negative=partial(corpus.plain, 20 + 10 * i)) for i in range(5)]
    examples = Examples(OnDemand(backbone, corpus), pairs, seed=3)
    return lambda size: examples.batch(0, size)


@pytest.fixture
def ready(backbone: FluxBackbone, add_trained: AddTrained) -> FluxBackbone:
    """An SFT adapter that matters and a fresh SFO adapter."""
    add_trained(backbone, "sft")
    backbone.add_adapter("sfo", 8, seed=0)
    for parameter in backbone.adapter_parameters("sfo").values():
        parameter.requires_grad_(True)
    return backbone


class Spy:
    """Stands before a backbone's ``predict`` and keeps what it was asked and answered."""

    def __init__(self, backbone: FluxBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[tuple[Tensor, Tensor, Condition, Mapping[str, float]]] = []
        self.answers: list[Tensor] = []
        self.predict = backbone.predict
        monkeypatch.setattr(backbone, "predict", self)

    def __call__(self, x: Tensor, t: Tensor, condition: Condition, weights: Any) -> Tensor:
        self.asked.append((x, t, condition, weights))
        self.answers.append(self.predict(x, t, condition, weights))
        return self.answers[-1]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_loss_is_ln_2(
    ready: FluxBackbone, batch: Callable[[int], Batch], seed: int
) -> None:
    loss, figures = SFO(ready, batch(3), generator(seed))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert figures["accuracy"] == 0.0
    assert figures["delta_policy"] == pytest.approx(figures["delta_reference"], abs=1e-9)
    assert abs(figures["delta_reference"]) > 1e-4


def test_time_and_noise_are_shared_within_a_pair_and_differ_between_pairs(
    ready: FluxBackbone, batch: Callable[[int], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, pairs = Spy(ready, monkeypatch), batch(2)
    SFO(ready, pairs, generator())
    (x, t, condition, first), (same_x, same_t, _, second) = spy.asked
    assert (first, second) == (SFT, BOTH)
    assert torch.equal(x, same_x) and torch.equal(t, same_t)
    assert torch.equal(t[:2], t[2:]) and t[0] != t[1]
    assert pairs.negatives is not None
    clean = torch.cat([pairs.positives, pairs.negatives])
    scale = t.view(-1, 1, 1)
    noise = (x - (1 - scale) * clean) / scale
    torch.testing.assert_close(noise[:2], noise[2:], rtol=0, atol=1e-4)
    assert (noise[0] - noise[1]).abs().max() > 0.5
    assert condition.reference is not None and pairs.condition.reference is not None
    assert torch.equal(condition.reference, torch.cat([pairs.condition.reference] * 2))


def test_the_reference_pass_keeps_no_gradient(
    ready: FluxBackbone, batch: Callable[[int], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(ready, monkeypatch)
    SFO(ready, batch(2), generator())
    assert [answer.requires_grad for answer in spy.answers] == [False, True]


@pytest.mark.parametrize(("convention", "factor"), [("sfo", 1.0), ("diffusion-dpo", 0.5)])
def test_the_loss_is_equation_3_on_the_predictions(
    ready: FluxBackbone,
    batch: Callable[[int], Batch],
    add_trained: AddTrained,
    monkeypatch: pytest.MonkeyPatch,
    convention: Convention,
    factor: float,
) -> None:
    add_trained(ready, "other", seed=5)
    spy, pairs = Spy(ready, monkeypatch), batch(2)
    beta, policy = 3.0, {"sft": 1.0, "other": 1.0}
    comparison = Comparison(SFT, policy, beta, convention=convention)
    loss, figures = comparison(ready, pairs, generator(4))
    assert pairs.negatives is not None
    LOGIT_NORMAL.draw(2, drawn := generator(4))
    noise = torch.randn(pairs.positives.shape, generator=drawn)

    def error(answer: Tensor, i: int, clean: Tensor) -> float:
        return float((answer[i] - (noise[i % 2] - clean)).square().mean())

    losses = []
    for i in range(2):
        delta = [
            error(answer, i, pairs.positives[i]) - error(answer, i + 2, pairs.negatives[i])
            for answer in spy.answers
        ]
        losses.append(math.log1p(math.exp(factor * beta * (delta[1] - delta[0]))))
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-4)
    assert loss.item() != pytest.approx(math.log(2), abs=1e-3)
    assert figures["delta_policy"] != pytest.approx(figures["delta_reference"], abs=1e-4)


def test_only_the_trained_adapter_gets_a_gradient(
    ready: FluxBackbone, batch: Callable[[int], Batch]
) -> None:
    loss, _ = SFO(ready, batch(2), generator())
    loss.backward()
    with_gradient = {
        path
        for path, parameter in ready.transformer.named_parameters()
        if parameter.grad is not None
    }
    trained = set(ready.adapter_parameters("sfo"))
    assert with_gradient <= trained
    last = len(ready.transformer.single_transformer_blocks) - 1
    for path in trained - with_gradient:  # what comes after the last attention has no effect
        assert path.startswith(f"single_transformer_blocks.{last}.proj_"), path


@pytest.mark.parametrize("backbone", ["flux"], indirect=True)
def test_training_changes_the_adapter_alone_and_learns_the_pairs(
    ready: FluxBackbone, batch: Callable[[int], Batch], tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in ready.transformer.state_dict().items()}
    recipe, pairs = Recipe(steps=8, lr=1e-3, clip=0.5, log_every=1), batch(4)
    log: list[Mapping[str, Any]] = []
    Training(ready.adapter_parameters("sfo"), recipe, tmp_path, seed=0).run(
        lambda index, _: SFO(ready, pairs, generator()), log.append
    )
    changed = {
        name
        for name, value in ready.transformer.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed <= set(ready.adapter_parameters("sfo"))
    assert len(changed) > 0.8 * len(ready.adapter_parameters("sfo"))
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert log[-1]["loss"] < 0.9 * math.log(2)
    assert log[-1]["delta_policy"] < log[-1]["delta_reference"] == log[0]["delta_reference"]


def test_a_comparison_draws_the_timesteps_that_it_was_given(
    ready: FluxBackbone, batch: Callable[[int], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(ready, monkeypatch)
    Comparison(SFT, BOTH, 1.0, Timesteps(mean=-4.0, std=0.1))(ready, batch(3), generator())
    Comparison(SFT, BOTH, 1.0, Timesteps("uniform"))(ready, batch(3), generator())
    assert spy.asked[0][1].max() < 0.05
    assert torch.equal(spy.asked[2][1][:3], torch.rand(3, generator=generator()))


def test_a_comparison_without_negatives_is_a_mistake(
    ready: FluxBackbone, colours: Callable[..., Any]
) -> None:
    encoding = OnDemand(ready, colours(ready.spec.resolution, 2))
    batch = Examples(encoding, [Example(0), Example(1)]).batch(0, 2)
    with pytest.raises(ValueError, match="negatives"):
        SFO(ready, batch, generator())


def test_flow_matching_is_the_velocity_error_on_positives(
    ready: FluxBackbone, batch: Callable[[int], Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, pairs = Spy(ready, monkeypatch), batch(2)
    loss, _ = FlowMatching(SFT)(ready, pairs, generator(4))
    ((x, t, _, weights),) = spy.asked
    drawn = generator(4)
    assert weights == SFT and torch.equal(t, LOGIT_NORMAL.draw(2, drawn))
    noise = torch.randn(pairs.positives.shape, generator=drawn)
    scale = t.view(-1, 1, 1)
    torch.testing.assert_close(x, (1 - scale) * pairs.positives + scale * noise)
    expected = (spy.answers[0] - (noise - pairs.positives)).square().mean()
    torch.testing.assert_close(loss, expected)


def test_a_condition_is_repeated_whole(ready: FluxBackbone) -> None:
    text = ready.encode_prompts(["a mug", "a vase"])
    twice = Condition(text, None).repeated(2)
    assert twice.reference is None
    assert torch.equal(twice.text.tokens, torch.cat([text.tokens, text.tokens]))
    assert torch.equal(twice.text.pooled, torch.cat([text.pooled, text.pooled]))
