"""RPO's pairs and what is computed on them, over any backbone."""

import math
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from bench.methods.backbones.flux import FluxBackbone
from bench.methods.objectives import Timesteps, squared_error
from bench.methods.rpo_pairs import Batch, Pair, Pairs, judged

UNIFORM = Timesteps("uniform")


def plain(level: int) -> Image.Image:
    return Image.new("RGB", (40, 32), (level, 255 - level, 60))


def made(count: int, chance: float = 0.5) -> list[Pair]:
    return [
        Pair(plain(20 * k), plain(255 - 20 * k), "a photo of a mug", f"a mug {k}", chance)
        for k in range(count)
    ]


def loss_on(backbone: FluxBackbone, batch: Batch, beta: float = 1.0, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    total: Tensor = judged(backbone, batch, {"rpo": 1.0}, UNIFORM, beta, generator).total
    return total


def test_every_pair_comes_once_before_any_comes_again(mini: FluxBackbone) -> None:
    pairs = Pairs(mini, made(4), seed=1)
    seen = [pairs.batch(number, 2).clean[:2] for number in range(4)]
    for epoch in (seen[:2], seen[2:]):
        levels = {round(float(clean.flatten()[0]), 4) for half in epoch for clean in half}
        assert len(levels) == 4


def test_a_batch_follows_from_its_number_and_the_seed_alone(flux: FluxBackbone) -> None:
    first, again = (Pairs(flux, made(4), seed=1).batch(5, 2) for _ in range(2))
    other = Pairs(flux, made(4), seed=2).batch(5, 2)
    assert torch.equal(first.clean, again.clean)
    assert not torch.equal(first.clean, other.clean)


def test_photographs_come_first_each_image_under_its_own_prompt(mini: FluxBackbone) -> None:
    pair = Pair(plain(0), plain(200), "a photo of a mug", "a mug at night", 0.3)
    batch = Pairs(mini, [pair], seed=0).batch(0, 1)
    expected = mini.encode_prompts([pair.instance, pair.scene])
    torch.testing.assert_close(batch.condition.text.tokens, expected.tokens)
    torch.testing.assert_close(batch.condition.text.pooled, expected.pooled)
    assert batch.condition.reference is None
    assert batch.clean[0, 0, 0] < batch.clean[1, 0, 0]
    assert batch.chances.tolist() == pytest.approx([0.3])


def test_before_the_first_step_it_is_the_photographs_error_and_ln_2(
    backbone: FluxBackbone,
) -> None:
    backbone.add_adapter("rpo", 4, 0, "image")
    batch = Pairs(backbone, made(2), seed=0).batch(0, 2)
    generator = torch.Generator().manual_seed(3)
    found = judged(backbone, batch, {"rpo": 1.0}, UNIFORM, 1.0, generator)
    assert found.preference == pytest.approx(math.log(2), abs=1e-7)
    assert found.total.item() == pytest.approx(found.fidelity + math.log(2), rel=1e-6)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_the_loss_is_the_formula_with_one_timestep_and_noise_per_pair(
    backbone: FluxBackbone, add_trained: Callable[..., None], chance: float
) -> None:
    add_trained(backbone, "rpo")
    backbone._everywhere.add("rpo")
    batch = Pairs(backbone, made(2, chance), seed=0).batch(0, 2)
    ours = loss_on(backbone, batch, beta=2.0)

    generator = torch.Generator().manual_seed(3)
    torch.bernoulli(batch.chances, generator=generator)
    t = torch.rand(2, generator=generator)
    noise = torch.randn(batch.clean[:2].shape, generator=generator)
    errors = {}
    with torch.no_grad():
        for half in (0, 1):
            clean = batch.clean[2 * half : 2 * half + 2]
            for name, weights in (("before", {}), ("after", {"rpo": 1.0})):
                x, target = backbone.noised(clean, noise, t), backbone.target(clean, noise, t)
                both = (torch.cat([v, v]) for v in (x, t))
                predicted = backbone.predict(*both, batch.condition, weights)
                errors[name, half] = squared_error(predicted[2 * half : 2 * half + 2], target)
    gained = [errors["before", half] - errors["after", half] for half in (0, 1)]
    margin = 2.0 * (gained[0] - gained[1]) * (1 if chance else -1)
    expected = errors["after", 0].mean() - F.logsigmoid(margin).mean()
    torch.testing.assert_close(ours.detach(), expected, rtol=1e-4, atol=1e-5)
    assert margin.abs().max() > 1e-3


def test_gradients_reach_the_adapter_and_nothing_else(mini: FluxBackbone) -> None:
    mini.add_adapter("rpo", 4, 0, "image")
    parameters = mini.adapter_parameters("rpo")
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    loss_on(mini, Pairs(mini, made(2), seed=0).batch(0, 2)).backward()
    grown = {p for p, value in mini.transformer.named_parameters() if value.grad is not None}
    assert grown == set(parameters)
    assert any(
        value.grad.abs().sum() > 0 for value in parameters.values() if value.grad is not None
    )
