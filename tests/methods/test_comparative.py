"""The one trainer: pairs share noise and time, only the adapter moves, the first loss is ln 2."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import Batch, Comparison, Examples, FlowMatching, doubled
from bench.methods.loop import Recipe, Training
from bench.methods.objectives import logit_normal

AddTrained = Callable[..., None]
SFT, BOTH = {"sft": 1.0}, {"sft": 1.0, "sfo": 1.0}
SFO = Comparison(SFT, BOTH, beta=1000.0)


@pytest.fixture
def pairs(backbone: FluxBackbone, colours: Callable[..., Any]) -> Examples:
    """Five triplets of plain colours with a negative each."""
    corpus = colours(backbone.spec.resolution, 5)
    negatives = [corpus.plain(20 + 10 * index) for index in range(5)]
    return Examples(backbone, corpus, range(5), negatives, seed=3)


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


# --- the objective --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_first_loss_is_ln_2(ready: FluxBackbone, pairs: Examples, number: int) -> None:
    loss, figures = SFO(ready, pairs.batch(number, 3), generator(number))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert figures["accuracy"] == 0.0
    assert figures["delta_policy"] == pytest.approx(figures["delta_reference"], abs=1e-9)
    assert abs(figures["delta_reference"]) > 1e-4


def test_time_and_noise_are_shared_within_a_pair_and_differ_between_pairs(
    ready: FluxBackbone, pairs: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, batch = Spy(ready, monkeypatch), pairs.batch(0, 2)
    SFO(ready, batch, generator())
    (x, t, condition, first), (same_x, same_t, _, second) = spy.asked
    assert (first, second) == (SFT, BOTH)
    assert torch.equal(x, same_x) and torch.equal(t, same_t)
    assert torch.equal(t[:2], t[2:]) and t[0] != t[1]
    assert batch.negatives is not None
    clean = torch.cat([batch.positives, batch.negatives])
    scale = t.view(-1, 1, 1)
    noise = (x - (1 - scale) * clean) / scale
    torch.testing.assert_close(noise[:2], noise[2:], rtol=0, atol=1e-4)
    assert (noise[0] - noise[1]).abs().max() > 0.5
    assert condition.reference is not None and batch.condition.reference is not None
    assert torch.equal(condition.reference, torch.cat([batch.condition.reference] * 2))


def test_the_reference_pass_keeps_no_gradient(
    ready: FluxBackbone, pairs: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(ready, monkeypatch)
    SFO(ready, pairs.batch(0, 2), generator())
    assert [answer.requires_grad for answer in spy.answers] == [False, True]


def test_the_loss_is_equation_3_on_the_predictions(
    ready: FluxBackbone, pairs: Examples, add_trained: AddTrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_trained(ready, "other", seed=5)
    spy, batch = Spy(ready, monkeypatch), pairs.batch(0, 2)
    beta = 3.0
    loss, figures = Comparison(SFT, {"sft": 1.0, "other": 1.0}, beta)(ready, batch, generator(4))
    assert batch.negatives is not None
    logit_normal(2, drawn := generator(4))
    noise = torch.randn(batch.positives.shape, generator=drawn)

    def error(answer: Tensor, i: int, clean: Tensor) -> float:
        return float((answer[i] - (noise[i % 2] - clean)).square().mean())

    losses = []
    for i in range(2):
        delta = [
            error(answer, i, batch.positives[i]) - error(answer, i + 2, batch.negatives[i])
            for answer in spy.answers
        ]
        losses.append(math.log1p(math.exp(beta * (delta[1] - delta[0]))))
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-4)
    assert loss.item() != pytest.approx(math.log(2), abs=1e-3)
    assert figures["delta_policy"] != pytest.approx(figures["delta_reference"], abs=1e-4)


def test_only_the_trained_adapter_gets_a_gradient(ready: FluxBackbone, pairs: Examples) -> None:
    loss, _ = SFO(ready, pairs.batch(0, 2), generator())
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
    ready: FluxBackbone, pairs: Examples, tmp_path: Path
) -> None:
    before = {name: value.clone() for name, value in ready.transformer.state_dict().items()}
    recipe, batch = Recipe(steps=8, lr=1e-3, clip=0.5, log_every=1), pairs.batch(0, 4)
    log: list[Mapping[str, Any]] = []
    Training(ready.adapter_parameters("sfo"), recipe, tmp_path, seed=0).run(
        lambda index, _: SFO(ready, batch, generator()), log.append
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


def test_timesteps_follow_the_chosen_logit_normal(
    ready: FluxBackbone, pairs: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Spy(ready, monkeypatch)
    early = Comparison(SFT, BOTH, beta=1.0, t_mean=-4.0, t_std=0.1)
    early(ready, pairs.batch(0, 3), generator())
    assert spy.asked[0][1].max() < 0.05


def test_a_comparison_without_negatives_is_a_mistake(
    ready: FluxBackbone, colours: Callable[..., Any]
) -> None:
    batch = Examples(ready, colours(ready.spec.resolution, 2), range(2)).batch(0, 2)
    with pytest.raises(ValueError, match="negatives"):
        SFO(ready, batch, generator())


def test_flow_matching_is_the_velocity_error_on_positives(
    ready: FluxBackbone, pairs: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, batch = Spy(ready, monkeypatch), pairs.batch(0, 2)
    loss, _ = FlowMatching(SFT)(ready, batch, generator(4))
    ((x, t, _, weights),) = spy.asked
    drawn = generator(4)
    assert weights == SFT and torch.equal(t, logit_normal(2, drawn))
    noise = torch.randn(batch.positives.shape, generator=drawn)
    scale = t.view(-1, 1, 1)
    torch.testing.assert_close(x, (1 - scale) * batch.positives + scale * noise)
    expected = (spy.answers[0] - (noise - batch.positives)).square().mean()
    torch.testing.assert_close(loss, expected)


# --- the examples ---------------------------------------------------------------------------------


def indices_of(examples: Examples, batches: range, size: int) -> list[int]:
    """Which triplets came, read from the prompts that the backbone is asked to encode."""
    seen: list[str] = []
    encode = examples.backbone.encode_prompts

    def spying(prompts: list[str]) -> Any:
        seen.extend(prompts)
        return encode(prompts)

    examples.backbone.encode_prompts = spying
    for number in batches:
        examples.batch(number, size)
    return [int(prompt.split()[-1]) for prompt in seen]


def test_every_example_comes_once_before_any_comes_again(pairs: Examples) -> None:
    order = indices_of(pairs, range(5), size=3)
    epochs = [order[start : start + 5] for start in (0, 5, 10)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_chosen_indices_are_of_the_corpus(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    examples = Examples(mini, colours(32, 9), [7, 2, 4])
    assert sorted(indices_of(examples, range(1), size=3)) == [2, 4, 7]


def test_a_batch_follows_from_its_number_and_the_seed(
    backbone: FluxBackbone, colours: Callable[..., Any]
) -> None:
    corpus = colours(backbone.spec.resolution, 5)
    negatives = [corpus.plain(index) for index in range(5)]
    one, same = (Examples(backbone, corpus, range(5), negatives, seed=1) for _ in range(2))
    one.batch(0, 2)
    for ours, theirs in zip(tensors(one.batch(7, 2)), tensors(same.batch(7, 2)), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(one.batch(8, 2).positives, same.batch(7, 2).positives)


def test_positives_negatives_and_references_belong_together(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    corpus = colours(32, 9)
    chosen = [7, 2, 4]
    negatives = [corpus.plain(10 + index) for index in chosen]
    batch = Examples(mini, corpus, chosen, negatives).batch(0, 3)
    assert batch.negatives is not None and batch.condition.reference is not None
    levels = [
        [round(float(image[0].mean()) * 255) for image in mini.decode(tokens)]
        for tokens in (batch.condition.reference, batch.positives, batch.negatives)
    ]
    for reference, target, negative in zip(*levels, strict=True):
        index = 200 - reference
        assert (target, negative) == (100 - index, 10 + index)


def test_references_of_any_size_are_brought_to_the_backbones(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    batch = Examples(mini, colours(50, 2), range(2), [Image.new("RGB", (70, 40))] * 2).batch(0, 1)
    assert {tensor.shape for tensor in tensors(batch)[2:]} == {(1, 64, 48)}


def test_doubling_repeats_text_and_reference(mini: FluxBackbone) -> None:
    text = mini.encode_prompts(["a mug", "a vase"])
    twice = doubled(Condition(text, None))
    assert twice.reference is None
    assert torch.equal(twice.text.tokens, torch.cat([text.tokens, text.tokens]))
    assert torch.equal(twice.text.pooled, torch.cat([text.pooled, text.pooled]))


def tensors(batch: Batch) -> list[Tensor]:
    assert batch.negatives is not None and batch.condition.reference is not None
    text = batch.condition.text
    return [text.tokens, text.pooled, batch.condition.reference, batch.positives, batch.negatives]
