"""Noise, v and integer timesteps, and the objectives of comparisons on them."""

import math
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from bench.methods.backbones import sdxl as module
from bench.methods.backbones.backbone import OFF
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.comparative import Comparison
from bench.methods.examples import Batch
from bench.methods.objectives import Timesteps, preference, squared_error
from tests.methods.tiny_sdxl import (
    RESOLUTION,
    SCHEDULE,
    asked,
    seeded,
    stock,
)

pytest_plugins = ["tests.methods.sdxl_fixtures"]


@pytest.fixture
def v_predicting(sdxl_home: Path) -> SdxlBackbone:
    pipeline = stock(sdxl_home)
    pipeline.scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type="v_prediction")
    return module.wrap(pipeline, "v", "digest", RESOLUTION)


def test_noised_and_target_are_those_of_diffusers(
    bare_sdxl: SdxlBackbone, v_predicting: SdxlBackbone
) -> None:
    scheduler = DDPMScheduler.from_config(EulerDiscreteScheduler(**SCHEDULE).config)
    clean, noise = bare_sdxl.noise(seeded(0, 1, 2, 3)), bare_sdxl.noise(seeded(4, 5, 6, 7))
    numbers = torch.tensor([0, 17, 500, 999])
    t = (numbers + 0.5) / 1000
    expected = scheduler.add_noise(clean, noise, numbers)
    torch.testing.assert_close(bare_sdxl.noised(clean, noise, t), expected, rtol=0, atol=1e-6)
    assert torch.equal(bare_sdxl.target(clean, noise, t), noise)
    v = scheduler.get_velocity(clean, noise, numbers)
    torch.testing.assert_close(v_predicting.target(clean, noise, t), v, rtol=0, atol=1e-6)


def test_noise_is_added_by_the_published_schedule(bare_sdxl: SdxlBackbone) -> None:
    """The square root of beta rises linearly from sqrt(0.00085) to sqrt(0.012) in 1000 steps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha = torch.cumprod(1 - betas, 0)[250].item()
    one = torch.ones(1, 4, 2, 2)
    mixed = bare_sdxl.noised(one, 2 * one, torch.tensor([0.2505]))
    expected = math.sqrt(alpha) + 2 * math.sqrt(1 - alpha)
    torch.testing.assert_close(mixed, torch.full_like(one, expected), rtol=0, atol=1e-5)


@given(st.integers(0, 999))
def test_every_integer_timestep_has_its_thousandth_of_t(number: int) -> None:
    inside = torch.tensor([number + 0.001, number + 0.5, number + 0.999]) / 1000
    schedule = SdxlBackbone.__new__(SdxlBackbone)
    schedule._noising = DDPMScheduler(num_train_timesteps=1000)
    assert schedule.timesteps(inside).tolist() == [number] * 3


def test_uniform_draws_hit_every_timestep_whatever_the_networks_precision(
    sdxl_home: Path,
) -> None:
    pipeline = stock(sdxl_home).to(torch.bfloat16)
    backbone = module.wrap(pipeline, "half", "digest", RESOLUTION)
    clean = backbone.encode_images(torch.rand(1, 3, RESOLUTION, RESOLUTION), seeded(0))
    t = Timesteps("uniform").draw(20_000, seeded(0)[0]).to(clean)
    assert set(backbone.timesteps(t).tolist()) == set(range(1000))
    assert backbone.timesteps(torch.ones(1)).item() == 999
    condition, noise = asked(backbone), backbone.noise(seeded(1))
    assert (backbone.dtype, clean.dtype, noise.dtype) == (torch.bfloat16, *[torch.float32] * 2)
    assert backbone.predict(noise, t[:1], condition).dtype == torch.float32
    assert backbone.codec.vae.dtype == torch.float32  # force_upcast


def test_the_first_comparison_with_ip_adapter_itself_is_ln_2_and_training_lowers_it(
    sdxl: SdxlBackbone,
) -> None:
    sdxl.add_adapter("sfo", 4, 0, "image")
    parameters = list(sdxl.adapter_parameters("sfo").values())
    optimiser = torch.optim.AdamW([p.requires_grad_(True) for p in parameters], lr=1e-2)
    images = torch.rand(2, 3, RESOLUTION, RESOLUTION, generator=seeded(8)[0])
    positives, negatives = sdxl.encode_images(images, seeded(1, 2)).chunk(2)
    batch = Batch(asked(sdxl), positives, negatives)
    objective = Comparison(reference=OFF, policy={"sfo": 1.0}, beta=1000.0)
    losses = []
    for _ in range(4):
        loss, _ = objective(sdxl, batch, seeded(9)[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < losses[0] - 0.01


def test_on_errors_of_noise_the_loss_is_diffusion_dpos() -> None:
    """Errors 0.3 and 0.5 now, 0.4 and 0.45 before: -log sigmoid(-beta / 2 (-0.2 + 0.05))."""
    noise = torch.zeros(1, 4, 2, 2)
    now, before = [
        [squared_error(noise + error**0.5, noise) for error in errors]
        for errors in ((0.3, 0.5), (0.4, 0.45))
    ]
    result = preference((now[0], now[1]), (before[0], before[1]), 20.0, "diffusion-dpo")
    assert result.loss.item() == pytest.approx(math.log1p(math.exp(-1.5)), abs=1e-6)
    doubled = preference((now[0], now[1]), (before[0], before[1]), 20.0, "sfo")
    assert doubled.loss.item() == pytest.approx(math.log1p(math.exp(-3.0)), abs=1e-6)
