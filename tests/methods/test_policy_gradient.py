"""Policy gradients against what the papers' formulas give by hand, in float64."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal

from bench.methods.policy_gradient import (
    Dynamics,
    advantages,
    clipped,
    divergence,
    transition,
)

BOTH: tuple[Dynamics, ...] = ("sde", "cps")


def tensors(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """x, velocity and noise, (3, 5, 4)."""
    generator = torch.Generator().manual_seed(seed)
    x, velocity, noise = torch.randn(3, 3, 5, 4, generator=generator)
    return x, velocity, noise


def sde_by_hand(
    x: Tensor, v: Tensor, t: float, t_next: float, a: float, edge: float
) -> tuple[Tensor, float]:
    """Flow-GRPO's mean and standard deviation; ``edge`` stands for t in 1 - t."""
    x, v = x.double(), v.double()
    sigma = a * math.sqrt(t / (1 - edge))
    drift = v + sigma**2 / (2 * t) * (x + (1 - t) * v)
    return x + drift * (t_next - t), sigma * math.sqrt(t - t_next)


@pytest.mark.parametrize(("t", "t_next", "edge"), [(0.8, 0.6, 0.8), (0.3, 0.0, 0.3), (1, 0.9, 0.9)])
def test_the_sde_step_is_its_closed_form_also_at_t_1(t: float, t_next: float, edge: float) -> None:
    x, velocity, noise = tensors()
    mean, std = sde_by_hand(x, velocity, t, t_next, 0.9, edge)
    step = transition(x, velocity, t, t_next, 0.9)
    assert step.std == pytest.approx(std, rel=1e-12)
    torch.testing.assert_close(step.mean.double(), mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(step.drawn(noise).double(), mean + std * noise, atol=1e-6, rtol=1e-5)


def test_the_step_that_keeps_noise_levels_is_its_closed_form() -> None:
    x, velocity, _ = tensors()
    x64, v64, t, t_next = x.double(), velocity.double(), 0.7, 0.5
    s = t_next * math.sin(0.8 * math.pi / 2)
    clean, noise = x64 - t * v64, x64 + (1 - t) * v64
    step = transition(x, velocity, t, t_next, 0.8, "cps")
    mean = (1 - t_next) * clean + math.sqrt(t_next**2 - s**2) * noise
    torch.testing.assert_close(step.mean.double(), mean, atol=1e-6, rtol=1e-5)
    assert step.std == pytest.approx(s)
    x_next = step.drawn(torch.ones_like(x))
    torch.testing.assert_close(step.log_prob(x_next), torch.full((3,), -(s**2)))


def test_a_log_probability_is_the_normal_distributions_averaged() -> None:
    x, velocity, noise = tensors()
    step = transition(x, velocity, 0.8, 0.6, 0.9)
    x_next = step.drawn(noise)
    mean, std = sde_by_hand(x, velocity, 0.8, 0.6, 0.9, 0.8)
    expected = Normal(mean, std).log_prob(x_next.double()).flatten(1).mean(dim=1)
    torch.testing.assert_close(step.log_prob(x_next).double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dynamics", BOTH)
def test_without_noise_a_step_is_eulers(dynamics: Dynamics) -> None:
    x, velocity, noise = tensors()
    step = transition(x, velocity, 0.8, 0.6, 0.0, dynamics)
    assert step.std == 0
    torch.testing.assert_close(step.drawn(noise), x - 0.2 * velocity)


@given(
    a=st.floats(0.05, 0.95),
    times=st.tuples(st.floats(0.05, 0.95), st.floats(0, 0.95)).filter(lambda p: p[0] > p[1] + 0.02),
)
def test_keeping_noise_levels_keeps_the_variance_of_x(a: float, times: tuple[float, float]) -> None:
    """x = (1 - t) x_0 + t eps: what is left of eps and what is new add up to t_next squared."""
    t, t_next = times
    clean, noise = torch.zeros(1, 1), torch.ones(1, 1)
    step = transition((1 - t) * clean + t * noise, noise - clean, t, t_next, a, "cps")
    assert float(step.mean) ** 2 + step.std**2 == pytest.approx(t_next**2, abs=1e-6)


def test_many_steps_of_the_sde_end_where_the_flow_does() -> None:
    """Data of one standard deviation: the SDE's marginals are the flow's, whatever the level."""
    x = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    generator, deviation = torch.Generator().manual_seed(1), 0.5
    times = torch.linspace(0.98, 0.02, 400).tolist()
    for t, t_next in pairwise(times):
        variance = ((1 - t) * deviation) ** 2 + t**2
        velocity = (t - (1 - t) * deviation**2) / variance * x
        x = transition(x, velocity, t, t_next, 0.7).drawn(torch.randn(x.shape, generator=generator))
    assert float(x.std()) == pytest.approx(math.hypot(0.98 * deviation, 0.02), rel=0.03)


def test_an_advantage_is_the_distance_from_the_groups_mean_in_its_deviations() -> None:
    rewards = torch.tensor([1.0, 3.0, 10.0, 10.0, 16.0])
    groups = torch.tensor([7, 7, 2, 2, 2])
    found = advantages(rewards, groups, least=2)
    third = math.sqrt(8)
    torch.testing.assert_close(
        found, torch.tensor([-1, 1, -2 / third, -2 / third, 4 / third]), atol=1e-5, rtol=1e-5
    )


def test_groups_too_small_are_measured_against_the_whole_batch() -> None:
    rewards = torch.tensor([1.0, 3.0, 10.0, 10.0, 16.0])
    found = advantages(rewards, torch.tensor([7, 7, 2, 2, 2]), least=3)
    whole = (rewards - 8) / rewards.std(correction=0)
    torch.testing.assert_close(found[:2], whole[:2])
    assert float(found[2:].sum()) == pytest.approx(0, abs=1e-5)


def test_equal_rewards_teach_nothing() -> None:
    assert not advantages(torch.full((4,), 0.3), torch.zeros(4).long(), least=2).any()


def test_the_clipped_objective_by_hand() -> None:
    ratios = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0], dtype=torch.float64)
    advantage = torch.tensor([1.0, -1.0, 1.0, -1.0, -9.0], dtype=torch.float64)
    result = clipped(ratios.log(), torch.zeros(5, dtype=torch.float64), advantage, clip=0.2)
    by_hand = (-1.2 + 1.5 - 0.5 + 0.8 + 5.0) / 5
    assert float(result.loss) == pytest.approx(by_hand, rel=1e-12)
    assert result.ratio == pytest.approx(1.0)
    assert result.clip_fraction == pytest.approx(4 / 5)


def test_the_gradient_raises_what_was_better_until_the_clip_stops_it() -> None:
    before = torch.zeros(2)
    log_prob = before.clone().requires_grad_()
    result = clipped(log_prob, before, torch.tensor([1.0, -1.0]))
    assert (result.ratio, result.clip_fraction) == (1.0, 0.0)
    (slope,) = torch.autograd.grad(result.loss, log_prob)
    assert torch.equal(slope, torch.tensor([-0.5, 0.5]))
    far = torch.tensor([0.01, -0.01], requires_grad=True)
    (slope,) = torch.autograd.grad(clipped(far, before, torch.tensor([1.0, -1.0])).loss, far)
    assert not slope.any()


@pytest.mark.parametrize("dynamics", BOTH)
def test_a_step_that_was_better_draws_the_mean_towards_itself(dynamics: Dynamics) -> None:
    x, velocity, noise = tensors()
    drawn = transition(x, velocity, 0.8, 0.6, 0.9, dynamics).drawn(noise)
    velocity.requires_grad_()
    step = transition(x, velocity, 0.8, 0.6, 0.9, dynamics)
    log_prob = step.log_prob(drawn)
    clipped(log_prob, log_prob.detach(), torch.ones(3)).loss.backward()
    assert velocity.grad is not None
    moved = transition(x, (velocity - velocity.grad).detach(), 0.8, 0.6, 0.9, dynamics)
    assert (moved.log_prob(drawn) > log_prob).all()


def test_the_divergence_is_measured_in_units_of_the_diffusion() -> None:
    x, velocity, _ = tensors()
    one, other = (transition(x, v, 0.8, 0.6, 0.9) for v in (velocity, velocity + 1))
    diffusion = 0.9 * math.sqrt(0.8 / 0.2)
    shift = 0.2 * (1 + diffusion**2 * 0.2 / 1.6)
    torch.testing.assert_close(
        divergence(other, one), torch.full((3,), shift**2 / (2 * diffusion**2))
    )
    assert not divergence(one, one).any()
