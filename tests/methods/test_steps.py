"""Steps of samplers against diffusers' own, downwards; upwards they undo themselves."""

from pathlib import Path

import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.errors import UserError
from bench.methods.backbones import sana, sd_turbo, sdxl_turbo
from bench.methods.backbones.backbone import OFF, Backbone, Condition
from bench.methods.backbones.unet import UnetBackbone
from bench.methods.steps import CLEAN, Level, Step, make_step, sampler_steps, walk
from tests.methods import tiny_text_backbones as tiny
from tests.methods.tiny_sdxl import seeded
from tests.methods.tiny_trainings import fresh

PROMPT = "a photo of a mug"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    tiny.save(folder)
    return folder


@pytest.fixture
def turbo(home: Path, monkeypatch: pytest.MonkeyPatch) -> UnetBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    return sd_turbo.load(tiny.SIDE)


def asked(backbone: Backbone) -> Condition:
    return Condition(backbone.encode_prompts([PROMPT]), None)


def test_a_flow_goes_straight_along_its_velocity() -> None:
    step = make_step(0.75, Level(0.25, 0.75, -1.0, 1.0), Level(0.5, 0.5), ancestral=False)
    assert (step.keep, step.answer, step.fresh) == pytest.approx((1.0, -0.25, 0.0))


def test_the_last_step_of_a_noise_predictor_answers_with_the_clean_latent() -> None:
    """x_0 = (x - noise eps) / signal, whatever the sampler."""
    at = Level(0.6, 0.8, 0.0, 1.0)
    for ancestral in (False, True):
        step = make_step(0.25, at, CLEAN, ancestral)
        assert (step.keep, step.answer, step.fresh) == pytest.approx((1 / 0.6, -0.8 / 0.6, 0.0))


def test_an_ancestral_step_keeps_the_spread_of_the_level_it_leads_to() -> None:
    """A perfect answer to (0.6, 0.8) and fresh noise: variance 0.36 of noise at (0.8, 0.6)."""
    step = make_step(0.5, Level(0.6, 0.8, 0.0, 1.0), Level(0.8, 0.6), ancestral=True)
    old = step.keep * 0.8 + step.answer
    assert step.keep * 0.6 == pytest.approx(0.8), "the signal"
    assert old == pytest.approx(0.6 * 0.75 * 0.75), "sigma' / sigma is 9 / 16 of what was there"
    assert old**2 + step.fresh**2 == pytest.approx(0.36)


numbers = st.floats(-3, 3)


@given(st.floats(0.2, 2), numbers, numbers, numbers, numbers, numbers)
def test_up_is_the_inverse_of_down(
    keep: float, answer: float, fresh: float, x: float, answered: float, noise: float
) -> None:
    step = Step(0.5, keep, answer, fresh)
    given_, made, drawn = (
        torch.tensor(value, dtype=torch.float64) for value in (x, answered, noise)
    )
    back = step.up(step.down(given_, made, drawn), made, drawn)
    torch.testing.assert_close(back, given_, rtol=0, atol=1e-9)


def test_turbo_models_begin_at_the_last_of_four_spans_and_three_of_them_lie_below(
    turbo: UnetBackbone,
) -> None:
    def numbers_of(strength: float) -> list[int]:
        times = torch.tensor([step.t for step in sampler_steps(turbo, 4, strength)])
        found: list[int] = turbo.timesteps(times).tolist()
        return found

    assert numbers_of(1.0) == [999, 749, 499, 249]
    assert numbers_of(0.75) == [749, 499, 249]
    assert [step.t for step in sampler_steps(fresh(), 4, 0.75)] == pytest.approx([0.75, 0.5, 0.25])


def test_walking_is_what_the_backbone_samples(turbo: UnetBackbone) -> None:
    """Its sampler begins with noise at sigma instead of noise at the level's own share."""
    condition, noise = asked(turbo), turbo.noise(seeded(0))
    share = turbo.noised(torch.zeros_like(noise), noise, torch.ones(1))
    ours = walk(turbo, sampler_steps(turbo, 4), share, [noise] * 4, condition)
    stock = turbo.sample(condition, noise, OFF, 4, 1.0)
    torch.testing.assert_close(ours, stock, rtol=1e-3, atol=1e-3)
    mini = fresh()
    condition, noise = asked(mini), mini.noise(seeded(0))
    ours = walk(mini, sampler_steps(mini, 4), noise, [noise] * 4, condition)
    torch.testing.assert_close(ours, mini.sample(condition, noise, OFF, 4, 1.0), rtol=0, atol=1e-5)


def test_ancestral_steps_are_those_of_diffusers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    backbone = sdxl_turbo.load(tiny.SIDE)
    steps = sampler_steps(backbone, 4, ancestral=True)
    scheduler = EulerAncestralDiscreteScheduler(**tiny.TRAILING)
    scheduler.set_timesteps(4)
    x, answer = backbone.noise(seeded(0)), backbone.noise(seeded(1))
    for place, (step, timestep) in enumerate(zip(steps, scheduler.timesteps, strict=True)):
        sigma, following = scheduler.sigmas[place], scheduler.sigmas[place + 1]
        drawn = torch.randn(x.shape, generator=seeded(2)[0])
        scheduler.scale_model_input(x, timestep)
        stock = scheduler.step(answer, timestep, x, seeded(2)[0]).prev_sample
        ours = step.down(x / (1 + sigma**2) ** 0.5, answer, drawn) * (1 + following**2) ** 0.5
        torch.testing.assert_close(ours, stock, rtol=1e-4, atol=1e-4)
        x = stock


def test_gradients_flow_through_the_last_steps_alone() -> None:
    mini = fresh()
    condition, noise = asked(mini), mini.noise(seeded(0))
    mini.add_adapter("lora", 2, 0, "image")
    parameters = mini.adapter_parameters("lora")
    for parameter in parameters.values():
        parameter.requires_grad_(True)

    def walked(through: int) -> Tensor:
        steps = sampler_steps(mini, 3)
        end: Tensor = walk(mini, steps, noise, [noise] * 3, condition, {"lora": 1.0}, through)
        return end

    assert not walked(0).requires_grad
    walked(1).square().mean().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters.values())
    assert torch.equal(walked(1), walked(3))


def test_a_strength_below_every_step_is_refused(turbo: UnetBackbone) -> None:
    with pytest.raises(UserError, match=r"strength of 0\.1; raise"):
        sampler_steps(turbo, 4, strength=0.1)


def test_samplers_of_higher_order_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    with pytest.raises(UserError, match="choose --backbone sd-turbo"):
        sampler_steps(sana.load(tiny.SIDE), 4)
