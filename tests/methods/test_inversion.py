"""Inverting and coming back: by hand, on the mini world, and on tiny turbo models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.backbones import mini, sd_turbo, sdxl_turbo
from bench.methods.backbones.backbone import OFF, Backbone, Condition
from bench.methods.backbones.unet import UnetBackbone
from bench.methods.inversion import (
    FLOW,
    PLAIN,
    SD_TURBO,
    SDXL_TURBO,
    Renoise,
    Rounds,
    corrected,
    fixed_point,
    invert,
)
from bench.methods.sampling import to_tensor
from bench.methods.steps import Step, sampler_steps
from bench.mini.grammar import Scene
from bench.mini.world import render_scene, sample_identity, scene_pose
from tests.methods import tiny_text_backbones as tiny
from tests.methods.tiny_sdxl import seeded
from tests.networks import picture

HALF = Step(t=0.5, keep=1.0, answer=-0.5, fresh=0.0)
ONE, NO_NOISE = torch.ones(1), torch.zeros(1)


def test_answers_are_sought_at_better_and_better_guesses() -> None:
    """f(x) = x: from 1, up is 1 + x / 2, whose fixed point is 2: 1, 1.5, 1.75, 1.875, ..."""
    asked: list[float] = []

    def answer(x: Tensor) -> Tensor:
        asked.append(x.item())
        return x

    last = fixed_point(HALF, ONE, NO_NOISE, answer, Rounds(3, range(3, 4)))
    assert asked == [1.0, 1.5, 1.75, 1.875]
    assert last.item() == 1.9375


def test_the_last_guess_is_that_of_the_mean_answer() -> None:
    """Answers 1, 1.5, 1.75: the mean of the last two is 1.625."""
    assert fixed_point(HALF, ONE, NO_NOISE, lambda x: x, Rounds(2, range(1, 3))) == 1.8125


def test_answers_are_settled_from_the_first_that_counts_on() -> None:
    """1 leads to 1.5 untouched; 1.5 counts, is settled to 3, and its mean to 6: 1 + 3."""
    settled: list[float] = []

    def settle(answer: Tensor) -> Tensor:
        settled.append(answer.item())
        return 2 * answer

    last = fixed_point(HALF, ONE, NO_NOISE, lambda x: x, Rounds(1, range(1, 2)), settle)
    assert settled == [1.5, 1.5]
    assert last == 2.5


def test_plain_inversion_asks_once_at_the_cleaner_end() -> None:
    asked: list[float] = []

    def answer(x: Tensor) -> Tensor:
        asked.append(x.item())
        return 3 * ONE

    assert fixed_point(HALF, ONE, NO_NOISE, answer, PLAIN) == 2.5
    assert asked == [1.0]


@given(st.floats(-0.9, 0.9), st.floats(-5, 5), st.floats(-2, 2))
def test_what_is_found_steps_down_to_where_it_came_from(
    slope: float, x: float, noise: float
) -> None:
    """For every answer that changes slower than the step goes."""
    step = Step(t=0.5, keep=1.25, answer=-0.5, fresh=0.3)
    start, drawn = (torch.tensor(value, dtype=torch.float64) for value in (x, noise))
    found = fixed_point(step, start, drawn, lambda x: slope * x + 1, Rounds(60, range(60, 61)))
    back = step.down(found, slope * found + 1, drawn)
    torch.testing.assert_close(back, start, rtol=0, atol=1e-9)


def test_noise_is_moved_straight_to_what_is_wanted_and_past_it() -> None:
    """(3, 4) lies 5 from the origin: two steps of 1.8 leave 1.4, a third goes 0.4 beyond."""
    wanted = torch.zeros(2)
    noise = torch.tensor([3.0, 4.0])
    for turns, left in ((1, 3.2), (2, 1.4), (3, -0.4)):
        moved = corrected(noise, wanted, turns)
        torch.testing.assert_close(moved, left * torch.tensor([0.6, 0.8]))
    far = corrected(100 * noise, wanted)
    assert (100 * noise - far).norm().item() == pytest.approx(18.0, rel=1e-4)
    assert torch.equal(corrected(wanted, wanted), wanted), "where it is wanted, it stays"


def rounds_at(how: Renoise, timestep: int) -> tuple[int, range]:
    rounds = how.rounds((timestep + 0.5) / 1000)
    return rounds.again, rounds.averaged


def test_the_released_configuration() -> None:
    for how in (SDXL_TURBO, SD_TURBO):
        assert rounds_at(how, 249) == (5, range(5))
        assert rounds_at(how, 499) == rounds_at(how, 749) == (9, range(8, 10))
    assert SDXL_TURBO.whitening and SD_TURBO.whitening
    assert (SDXL_TURBO.whitening.correlation, SDXL_TURBO.whitening.divergence) == (20.0, 0.065)
    assert (SD_TURBO.whitening.correlation, SD_TURBO.whitening.divergence) == (0.0, 0.065)
    assert (SDXL_TURBO.corrected, SDXL_TURBO.ancestral) == (True, True)
    assert (SD_TURBO.corrected, SD_TURBO.ancestral) == (False, False)


def error(backbone: Backbone, image: Tensor, prompt: str, how: Renoise, steps: int = 4) -> float:
    """Mean squared error of latents that were inverted at strength 0.75 and redrawn."""
    condition = Condition(backbone.encode_prompts([prompt]), None)
    clean = backbone.encode_images(image, seeded(0))
    way = sampler_steps(backbone, steps, 0.75, how.ancestral)
    inverted = invert(backbone, clean, way, condition, how, seeded(1)[0])
    assert (inverted.start.shape, len(inverted.noises)) == (clean.shape, len(way))
    redrawn = inverted.redrawn(backbone, condition, OFF)
    return float((redrawn - clean).square().mean())


def plainly(how: Renoise) -> Renoise:
    return replace(how, far=PLAIN, near=PLAIN, whitening=None, corrected=False)


def test_scenes_of_the_mini_world_come_back_where_plain_inversion_loses_them() -> None:
    backbone = mini.load()
    identity, scene = sample_identity(0, "train", 1), Scene("grass", "day")
    array = render_scene(identity, scene, scene_pose(scene))
    image = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255
    told = f"a photo of a {identity.kind}"
    renoised = error(backbone, image, told, FLOW)
    assert renoised < 4e-4
    assert renoised < error(backbone, image, told, plainly(FLOW)) / 10


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    tiny.save(folder)
    return folder


@pytest.mark.parametrize(
    ("load", "how"), [(sd_turbo.load, SD_TURBO), (sdxl_turbo.load, SDXL_TURBO)]
)
def test_turbo_models_come_back_a_hundred_times_closer_than_by_plain_inversion(
    load: Callable[[int], UnetBackbone], how: Renoise, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random network's answers are no noise, so that nothing is whitened, and made to vary less
    from one latent to the next, as those of trained ones do."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    backbone = load(tiny.SIDE)
    with torch.no_grad():
        backbone.unet.conv_out.weight.mul_(0.1)
    image = to_tensor([picture((tiny.SIDE, tiny.SIDE))], tiny.SIDE)
    renoised = error(backbone, image, "a photo of a mug", replace(how, whitening=None))
    assert renoised < error(backbone, image, "a photo of a mug", plainly(how)) / 100


def test_fresh_noise_that_is_corrected_makes_up_for_a_guess_that_is_off(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    backbone = sdxl_turbo.load(tiny.SIDE)
    image = to_tensor([picture((tiny.SIDE, tiny.SIDE))], tiny.SIDE)
    errors = [
        error(backbone, image, "a mug", replace(plainly(SDXL_TURBO), corrected=done))
        for done in (True, False)
    ]
    assert errors[0] < errors[1] / 5
