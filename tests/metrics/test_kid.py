"""KID against its definition and against clean-fid, torch-fidelity and torchmetrics."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from cleanfid.fid import kernel_distance
from numpy.typing import NDArray
from torch import nn
from torch_fidelity.metric_kid import kernel_mmd, kid_features_to_metric
from torchmetrics.image.kid import KernelInceptionDistance

from bench.metrics.kid import Kid

Floats = NDArray[np.float64]
kid = Kid()


def rows(n: int, seed: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, size=(n, 16))


def by_pairs(x: Floats, y: Floats) -> float:
    """The definition."""

    def k(a: Floats, b: Floats) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [np.mean([k(a, b) for a, b in permutations(of, 2)]) for of in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a, b in product(x, y)]))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (40, 40), (30, 7)])
def test_it_is_the_unbiased_discrepancy_of_the_full_sets(n: int, m: int) -> None:
    x, y = rows(n, 0), rows(m, 1, 0.2)
    assert kid.score(x, y) == pytest.approx(by_pairs(x, y), rel=1e-10)


def test_it_equals_clean_fid() -> None:
    x, y = rows(120, 0), rows(120, 1, 0.2)
    assert kid.score(x, y) == pytest.approx(kernel_distance(x, y, num_subsets=2), rel=1e-10)


def test_it_equals_torch_fidelity() -> None:
    x, y = rows(120, 0), rows(120, 1, 0.2)
    told = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=1, kid_subset_size=120, verbose=False
    )
    assert kid.score(x, y) == pytest.approx(told["kernel_inception_distance_mean"], rel=1e-10)


def test_it_equals_torchmetrics() -> None:
    x, y = rows(120, 0), rows(120, 1, 0.2)
    features = nn.Identity()
    features.num_features = 16  # type: ignore[assignment]
    theirs = KernelInceptionDistance(feature=features, subsets=1, subset_size=120)
    theirs.update(torch.from_numpy(x), real=False)
    theirs.update(torch.from_numpy(y), real=True)
    mean, _ = theirs.compute()
    assert kid.score(x, y) == pytest.approx(float(mean), rel=1e-10)


def test_subsets_are_averaged_as_torch_fidelity_does_it() -> None:
    x, y = rows(90, 0), rows(60, 1, 0.2)
    rng = np.random.default_rng(7)
    told = [
        kernel_mmd(*(of[rng.choice(len(of), 50, replace=False)] for of in (x, y))) for _ in range(4)
    ]
    drawn = Kid(subsets=4, subset_size=50, seed=7)
    assert drawn.score(x, y) == pytest.approx(np.mean(told), rel=1e-10)


def test_subsets_follow_from_their_seed() -> None:
    x, y = rows(90, 0), rows(60, 1, 0.2)
    first, again, other = (Kid(None, 3, 20, seed).score(x, y) for seed in (1, 1, 2))
    assert first == again != other


def test_subsets_as_large_as_the_sets_are_the_sets() -> None:
    x, y = rows(60, 0), rows(60, 1, 0.2)
    assert Kid(subsets=2, subset_size=60).score(x, y) == pytest.approx(kid.score(x, y), rel=1e-10)


def test_subsets_larger_than_a_set_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1000 images .* 60 generated and 2000 real"):
        Kid(subsets=100).score(rows(60, 0), rows(2000, 1))


@pytest.mark.parametrize("metric", [kid, Kid(subsets=3, subset_size=20)], ids=["full", "subsets"])
def test_leaving_a_group_out_is_scoring_without_it(metric: Kid) -> None:
    x, y = rows(60, 0), rows(41, 1, 0.2)
    groups, real_groups = (np.array([f"s{i % 3}" for i in range(len(of))]) for of in (x, y))
    without = metric.leave_out(x, y, groups, real_groups)
    assert list(without) == ["s0", "s1", "s2"]
    for group, value in without.items():
        alone = metric.score(x[groups != group], y[real_groups != group])
        assert value == pytest.approx(alone, rel=1e-9)


def test_it_is_right_on_average_for_few_images_as_its_bias_says() -> None:
    told = [kid.score(rows(5, 2 * i), rows(5, 2 * i + 1)) for i in range(400)]
    assert min(told) < 0
    assert abs(np.mean(told)) < 3 * np.std(told) / 20
    assert kid.bias.startswith("unbiased")
