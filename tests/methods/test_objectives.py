"""The losses against formulas written by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bench.methods.objectives import Timesteps, noised, preference, squared_error


def test_noising_is_the_straight_line_from_image_to_noise() -> None:
    clean, noise = torch.full((2, 3, 4), 2.0), torch.full((2, 3, 4), 10.0)
    x = noised(clean, noise, torch.tensor([0.25, 1.0]))
    assert x[0].unique().tolist() == [4.0] and x[1].unique().tolist() == [10.0]


def test_the_error_is_the_mean_over_all_but_the_batch_of_each_sample_in_fp32() -> None:
    target = torch.full((2, 3, 4), 3.0)
    predicted = torch.stack([torch.full((3, 4), 3.0), torch.full((3, 4), 5.0)])
    assert squared_error(predicted, target).tolist() == [0.0, 4.0]
    assert squared_error(predicted.view(2, 3, 2, 2), target.view(2, 3, 2, 2)).tolist() == [0.0, 4.0]
    half = squared_error(predicted.bfloat16(), target.bfloat16())
    assert half.dtype == torch.float32


def errors(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_preference_is_equation_3() -> None:
    policy = errors(0.30, 0.11), errors(0.40, 0.10)
    reference = errors(0.32, 0.10), errors(0.39, 0.10)
    result = preference(policy, reference, beta=50.0)
    first = -50.0 * ((0.30 - 0.40) - (0.32 - 0.39))
    second = -50.0 * ((0.11 - 0.10) - (0.10 - 0.10))
    by_hand = (math.log1p(math.exp(-first)) + math.log1p(math.exp(-second))) / 2
    assert float(result.loss) == pytest.approx(by_hand)
    assert result.accuracy == 0.5
    assert result.delta_policy == pytest.approx((-0.10 + 0.01) / 2)
    assert result.delta_reference == pytest.approx(-0.07 / 2)


def test_fitting_positives_better_or_negatives_worse_lowers_the_loss() -> None:
    reference = errors(0.3), errors(0.3)
    start = preference(reference, reference, beta=10.0).loss
    assert preference((errors(0.2), errors(0.3)), reference, beta=10.0).loss < start
    assert preference((errors(0.3), errors(0.4)), reference, beta=10.0).loss < start
    assert preference((errors(0.4), errors(0.3)), reference, beta=10.0).loss > start


def test_without_a_difference_the_loss_is_ln_2() -> None:
    same = errors(0.3, 0.7), errors(0.2, 0.9)
    result = preference(same, same, beta=1000.0)
    assert float(result.loss) == pytest.approx(math.log(2), abs=1e-12)
    assert result.accuracy == 0.0


def test_diffusion_dpos_convention_has_a_factor_of_one_half() -> None:
    policy, reference = (errors(0.3), errors(0.35)), (errors(0.31), errors(0.33))
    inside = -0.5 * 5000.0 * ((0.3 - 0.35) - (0.31 - 0.33))
    by_hand = math.log1p(math.exp(-inside))
    found = preference(policy, reference, 5000.0, "diffusion-dpo")
    assert float(found.loss) == pytest.approx(by_hand)


@given(*[st.floats(0, 1)] * 4, st.floats(1, 5000))
def test_the_conventions_agree_at_half_the_beta(
    a: float, b: float, c: float, d: float, beta: float
) -> None:
    policy, reference = (errors(a), errors(b)), (errors(c), errors(d))
    ours = preference(policy, reference, beta)
    theirs = preference(policy, reference, 2 * beta, "diffusion-dpo")
    assert float(ours.loss) == float(theirs.loss)


def test_the_gradient_falls_on_both_sides_of_the_pair() -> None:
    positive = errors(0.3).requires_grad_()
    negative = errors(0.3).requires_grad_()
    preference((positive, negative), (errors(0.3), errors(0.3)), beta=8.0).loss.backward()
    assert positive.grad is not None and negative.grad is not None
    gradients = [positive.grad.item(), negative.grad.item()]
    assert gradients == pytest.approx([4.0, -4.0])


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-2.0, 1.0), (0.0, 0.5)])
def test_timesteps_are_logit_normal_with_a_standard_deviation(mean: float, std: float) -> None:
    t = Timesteps(mean=mean, std=std).draw(20_000, torch.Generator().manual_seed(0))
    logits = torch.log(t / (1 - t))
    assert t.min() > 0 and t.max() < 1
    assert float(logits.mean()) == pytest.approx(mean, abs=0.03)
    assert float(logits.std()) == pytest.approx(std, abs=0.03)


def test_uniform_timesteps_fall_evenly_and_heed_no_mean() -> None:
    t = Timesteps("uniform", mean=3.0).draw(20_000, torch.Generator().manual_seed(0))
    counts = torch.histc(t, bins=10, min=0, max=1)
    assert int(counts.sum()) == 20_000
    assert counts.min() > 1850 and counts.max() < 2150
