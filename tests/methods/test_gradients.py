"""Sampling and decoding that gradients flow through, by every family of backbones."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import registry
from bench.methods.backbones.backbone import Backbone, Condition
from bench.methods.backbones.decoding import Decoding
from tests.methods.tiny_optimised import FAMILIES
from tests.methods.tiny_sdxl import seeded
from tests.methods.tiny_text_backbones import SIDE
from tests.methods.tiny_trainings import fresh

pytest_plugins = ["tests.methods.tiny_optimised"]
NAMES = ("mini", *FAMILIES)
STEPS, OWN = 3, {"own": 1.0}


@pytest.fixture(params=NAMES)
def backbone(
    request: pytest.FixtureRequest, optimised_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """With an adapter whose B is not zero."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(optimised_home))
    name: str = request.param
    made = fresh() if name == "mini" else registry.load("backbone", name)(resolution=SIDE)
    made.add_adapter("own", 2, 0, "image")
    generator = torch.Generator().manual_seed(1)
    for path, parameter in made.adapter_parameters("own").items():
        parameter.requires_grad_(True)
        if ".lora_B." in path:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    return made


def parameters(backbone: Backbone) -> list[nn.Parameter]:
    return list(backbone.adapter_parameters("own").values())


def asked(backbone: Backbone) -> tuple[Condition, Tensor]:
    return Condition(backbone.encode_prompts(["a red mug"]), None), backbone.noise(seeded(3))


def sampled(backbone: Backbone, through: int) -> Tensor:
    guidance = backbone.spec.guidance or 1.0
    latents: Tensor = backbone.sample(*asked(backbone), OWN, STEPS, guidance, through=through)
    return latents


def gradient(backbone: Backbone, latents: Tensor) -> Tensor:
    grads = torch.autograd.grad(latents.square().mean(), parameters(backbone))
    return torch.cat([grad.flatten() for grad in grads])


def test_latents_are_the_same_whatever_gradients_flow_through(backbone: Backbone) -> None:
    plain = sampled(backbone, through=0)
    assert not plain.requires_grad
    for through in (1, STEPS, STEPS + 5):
        latents = sampled(backbone, through)
        assert latents.requires_grad and torch.equal(latents, plain)


def test_the_gradient_is_the_slope_along_a_direction(backbone: Backbone) -> None:
    slopes = gradient(backbone, sampled(backbone, STEPS))
    direction = slopes / slopes.norm()
    both = []
    for length in (1e-2, -1e-2):
        moved(backbone, length * direction)
        both.append(sampled(backbone, 0).double().square().mean().item())
        moved(backbone, -length * direction)
    assert (both[0] - both[1]) / 2e-2 == pytest.approx(slopes.norm().item(), rel=0.02)


def moved(backbone: Backbone, by: Tensor) -> None:
    own = parameters(backbone)
    with torch.no_grad():
        for parameter, part in zip(own, by.split([each.numel() for each in own]), strict=True):
            parameter.add_(part.view_as(parameter))


@pytest.mark.parametrize("backbone", NAMES[:4], indirect=True)
@pytest.mark.parametrize("through", [1, 2])
def test_the_gradient_is_that_of_a_loop_written_by_hand(backbone: Any, through: int) -> None:
    write = by_sigma if backbone.spec.name.startswith("sd") else by_flow
    expected = gradient(backbone, write(backbone, through))
    ours = gradient(backbone, sampled(backbone, through))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())


def by_flow(backbone: Any, through: int) -> Tensor:
    """Euler's steps of equal length."""
    condition, x = asked(backbone)
    for step in range(STEPS):
        if step == STEPS - through:
            x = x.detach()
        t = torch.full((1,), 1 - step / STEPS)
        x = x - backbone.predict(x, t, condition, OWN) / STEPS
    return x


def by_sigma(backbone: Any, through: int) -> Tensor:
    """Euler's steps in sigma = sqrt((1 - alpha) / alpha), from the last of the timesteps down."""
    alphas = backbone._noising.alphas_cumprod.double()
    numbers = [round(1000 - 1000 / STEPS * step) - 1 for step in range(STEPS)]
    sigmas = [math.sqrt((1 - alphas[number]) / alphas[number]) for number in numbers] + [0.0]
    condition, noise = asked(backbone)
    x = noise * sigmas[0]
    for step, number in enumerate(numbers):
        if step == STEPS - through:
            x = x.detach()
        shown = x / math.sqrt(sigmas[step] ** 2 + 1)
        t = torch.tensor([(number + 0.5) / 1000])
        noise = backbone.predict(shown, t, condition, OWN)
        x = x + (sigmas[step + 1] - sigmas[step]) * noise
    return x


def test_images_are_the_same_where_gradients_flow_to_the_adapter(backbone: Backbone) -> None:
    latents = sampled(backbone, 1)
    plain, images = backbone.decode(latents), backbone.decode(latents, gradients=True)
    assert not plain.requires_grad and torch.equal(images, plain)
    grads = torch.autograd.grad(images.mean(), parameters(backbone))
    assert any(grad.abs().max() > 0 for grad in grads)


def test_decoding_again_saves_memory_and_changes_no_gradient(backbone: Backbone) -> None:
    def flowed() -> Tensor:
        return gradient(backbone, backbone.decode(sampled(backbone, 1), gradients=True))

    plain = flowed()
    backbone.decode_by(Decoding(checkpoints=True))
    torch.testing.assert_close(flowed(), plain, rtol=1e-5, atol=1e-9)
