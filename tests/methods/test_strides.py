"""How far the steps of samplers go."""

import math

import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from bench.errors import UserError
from bench.methods.backbones.strides import flow_stride, stride, strides


def test_a_stride_is_the_level_over_what_is_taken_from_it() -> None:
    assert stride(4.0, 1.0) == pytest.approx(4 / 3)
    assert stride(4.0, 0.0) == 1


def test_a_flows_level_is_noise_over_signal() -> None:
    assert flow_stride(0.8, 0.5) == pytest.approx(stride(0.8 / 0.2, 0.5 / 0.5))
    assert flow_stride(1.0, 0.75) == 1  # from pure noise, whose level is infinite
    assert flow_stride(0.25, 0.0) == 1


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_the_last_step_ends_at_the_clean_image(kind: type) -> None:
    scheduler = kind(timestep_spacing="leading", steps_offset=1)
    scheduler.set_timesteps(4)
    alphas = scheduler.alphas_cumprod[[751, 501, 251, 1]].tolist()
    levels = [math.sqrt((1 - alpha) / alpha) for alpha in alphas] + [0.0]
    expected = [levels[i] / (levels[i] - levels[i + 1]) for i in range(4)]
    assert strides(scheduler) == pytest.approx(expected, rel=1e-4)


def test_a_sampler_of_higher_order_is_refused_by_name() -> None:
    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(4)
    with pytest.raises(UserError, match="sampled by DPMSolverMultistepScheduler; choose cfg or pg"):
        strides(scheduler)
