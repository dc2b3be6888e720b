"""CMMD against its definition in float64, and against what is known of it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.metrics.cmmd import Cmmd, CmmdUnbiased

Floats = NDArray[np.float64]
cmmd, unbiased = Cmmd(), CmmdUnbiased()


def rows(n: int, seed: int, towards: int = 0) -> Floats:
    """Features whose mean cosine is about one half; no two of the same length."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(n, 64)) / 8
    found[:, towards] += 1
    return found * rng.uniform(0.5, 20, size=(n, 1))


def unit(of: Floats) -> Floats:
    directions: Floats = of / np.linalg.norm(of, axis=1, keepdims=True)
    return directions


def kernels(x: Floats, y: Floats) -> Floats:
    """Of every pair, one by one."""
    return np.array(
        [[np.exp(-np.sum((a - b) ** 2) / (2 * 10**2)) for b in unit(y)] for a in unit(x)]
    )


@pytest.mark.parametrize(("n", "m"), [(1, 1), (30, 30), (25, 8)])
def test_it_is_the_biased_discrepancy_a_thousandfold(n: int, m: int) -> None:
    x, y = rows(n, 0), rows(m, 1, towards=1)
    told = kernels(x, x).mean() + kernels(y, y).mean() - 2 * kernels(x, y).mean()
    assert cmmd.score(x, y) == pytest.approx(1000 * told, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (30, 30), (25, 8)])
def test_unbiased_it_leaves_out_pairs_of_an_image_and_itself(n: int, m: int) -> None:
    x, y = rows(n, 0), rows(m, 1, towards=1)
    within = [kernels(of, of)[~np.eye(len(of), dtype=bool)].mean() for of in (x, y)]
    told = sum(within) - 2 * kernels(x, y).mean()
    assert unbiased.score(x, y) == pytest.approx(1000 * told, rel=1e-9)


def test_it_is_about_ten_times_the_squared_distance_of_the_means() -> None:
    x, y = rows(200, 0), rows(200, 1, towards=1)
    apart = unit(x).mean(axis=0) - unit(y).mean(axis=0)
    assert cmmd.score(x, y) == pytest.approx(10 * apart @ apart, rel=0.02)


@pytest.mark.parametrize(("n", "m"), [(10, 10), (30, 300)])
def test_its_bias_is_ten_times_what_images_differ_over_their_number(n: int, m: int) -> None:
    x, y = rows(n, 0), rows(m, 1)
    differ = [
        (1 - (unit(of) @ unit(of).T)[~np.eye(len(of), dtype=bool)].mean()) / len(of)
        for of in (x, y)
    ]
    assert cmmd.score(x, y) - unbiased.score(x, y) == pytest.approx(10 * sum(differ), rel=0.01)
    assert "upwards" in cmmd.bias and unbiased.bias.startswith("unbiased")


def test_a_set_is_at_no_distance_from_itself() -> None:
    x = rows(50, 0)
    assert cmmd.score(x, x) == pytest.approx(0, abs=1e-9)


def test_the_length_of_features_does_not_matter() -> None:
    x, y = rows(20, 0), rows(30, 1)
    assert cmmd.score(unit(x), 7 * unit(y)) == pytest.approx(cmmd.score(x, y), rel=1e-9)


@pytest.mark.parametrize("metric", [cmmd, unbiased], ids=["biased", "unbiased"])
def test_leaving_a_group_out_is_scoring_without_it(metric: Cmmd) -> None:
    x, y = rows(60, 0), rows(41, 1, towards=1)
    groups, real_groups = (np.array([f"s{i % 3}" for i in range(len(of))]) for of in (x, y))
    without = metric.leave_out(x, y, groups, real_groups)
    assert list(without) == ["s0", "s1", "s2"]
    for group, value in without.items():
        alone = metric.score(x[groups != group], y[real_groups != group])
        assert value == pytest.approx(alone, rel=1e-9)
