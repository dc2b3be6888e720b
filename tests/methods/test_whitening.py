"""Noise is left as it is, and what is no noise becomes more like it."""

import math

import pytest
import torch
from torch import Tensor

from bench.methods.whitening import Whitening, autocorrelation, patch_divergence


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def white(seed: int, channels: int = 4, side: int = 32) -> Tensor:
    return torch.randn(1, channels, side, side, generator=seeded(seed))


def test_the_correlation_of_a_constant_is_its_fourth_power_at_every_scale_and_axis() -> None:
    """Shifts change nothing: (2 x 2)^2 for two axes, and sides of 16 and 8."""
    constant = torch.full((1, 1, 16, 16), 2.0)
    assert autocorrelation(constant, seeded()).item() == pytest.approx(4 * 16.0)
    assert autocorrelation(constant.repeat(1, 3, 1, 1), seeded()).item() == pytest.approx(12 * 16.0)


def test_stripes_correlate_along_themselves() -> None:
    """Mean products: 1 along stripes and, by the shift's parity, 1 or -1 across them."""
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 1, 8, 8)
    assert autocorrelation(stripes, seeded()).item() == pytest.approx(2.0)


def test_the_divergence_of_gaussians_in_patches_by_hand() -> None:
    """Variances 1 and 4, means 0 and 3: ln 4 + (1 + 9) / 4 - 1, in two patches of one channel."""
    patch = torch.tensor([1.0, -1.0]).repeat(8).view(4, 4) * math.sqrt(15 / 16)
    one = patch.repeat(1, 1, 2, 1)
    assert one.shape == (1, 1, 8, 4)
    told = patch_divergence(one, 2 * one + 3).item()
    assert told == pytest.approx(2 * (math.log(4) + 10 / 4 - 1), rel=1e-5)
    assert patch_divergence(one, one).item() == pytest.approx(0.0, abs=1e-4)


def test_correlated_noise_becomes_less_correlated() -> None:
    smooth = torch.nn.functional.avg_pool2d(white(0, side=34), 3, 1) * 3
    moved = Whitening(divergence=0.0)(smooth, white(1), seeded(2))
    before, after = (
        sum(autocorrelation(x, seeded(k)).item() for k in range(20)) for x in (smooth, moved)
    )
    assert after < 0.8 * before


def test_noise_of_another_spread_moves_towards_the_usual_one() -> None:
    usual, narrow = white(1), 0.5 * white(0)
    far = patch_divergence(narrow, usual)
    for turns, left in ((4, 0.9), (40, 0.3)):
        moved = Whitening(correlation=0.0, turns=turns)(narrow, usual, seeded(2))
        assert patch_divergence(moved, usual) < left * far
        assert narrow.std() < moved.std() < usual.std()


def test_what_is_weighed_by_nothing_is_left_alone() -> None:
    noise = white(0)
    assert torch.equal(Whitening(0.0, 0.0)(noise, white(1), seeded()), noise)


def test_no_gradient_is_left_behind_and_none_is_needed() -> None:
    with torch.no_grad():
        moved = Whitening()(white(0), white(1), seeded())
    assert not moved.requires_grad and moved.isfinite().all()
