"""FID against its definition and against clean-fid, torch-fidelity and torchmetrics."""

from inspect import signature

import numpy as np
import pytest
import torch
from cleanfid.fid import frechet_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import nn
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from bench.metrics.fid import PRECISION, Fid

Floats = NDArray[np.float64]
fid = Fid()


def normal(n: int, width: int, seed: int, rank: int | None = None, decay: float = np.inf) -> Floats:
    """Rows of the one distribution of a width, rank and decay from direction to direction."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(width).normal(size=(rank or width, width))
    mix *= np.exp(-np.arange(len(mix)) / decay)[:, None]
    return rng.normal(size=(n, len(mix))) @ mix


def variance(*sets: Floats) -> float:
    return float(sum(rows.var(axis=0, ddof=1).sum() for rows in sets))


def by_sqrtm(x: Floats, y: Floats) -> float:
    """The definition."""
    apart = x.mean(axis=0) - y.mean(axis=0)
    root = sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False))
    return float(apart @ apart + variance(x, y) - 2 * np.trace(root).real)


def by_singular_values(x: Floats, y: Floats) -> float:
    """The definition for covariances that have no stable root: by those of the rows' products."""
    apart = x.mean(axis=0) - y.mean(axis=0)
    (a, b) = ((rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1) for rows in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(apart @ apart + variance(x, y) - 2 * overlap)


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Sets of any sizes, ranks and spectra, some with rows twice."""
    width, seed = draw(st.integers(2, 12)), draw(st.integers(0, 999))
    decay = draw(st.sampled_from([0.5, 3, np.inf]))
    sets = []
    for side in range(2):
        rows = draw(st.integers(2, 30))
        rank = draw(st.integers(1, width))
        found = normal(rows, width, 2 * seed + side, rank, decay) + draw(st.integers(-3, 3))
        sets.append(np.concatenate([found, found]) if draw(st.booleans()) else found)
    return sets[0], sets[1]


@given(two_sets())
@settings(max_examples=150, deadline=None)
def test_it_is_exact_for_any_sizes_ranks_and_spectra(sets: tuple[Floats, Floats]) -> None:
    close = pytest.approx(by_singular_values(*sets), abs=2 * PRECISION * variance(*sets), rel=1e-9)
    assert fid.score(*sets) == close


@given(two_sets(), st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_it_is_a_distance_that_knows_no_axes_origin_or_order(
    sets: tuple[Floats, Floats], seed: int
) -> None:
    x, y = sets
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(x.shape[1], x.shape[1])))
    shift = rng.normal(size=x.shape[1])
    slack = 8 * PRECISION * variance(x, y)
    whole = fid.score(x, y)
    assert whole >= 0
    assert fid.score(y, x) == pytest.approx(whole, abs=slack)
    assert fid.score(x @ turn + shift, y @ turn + shift) == pytest.approx(whole, abs=slack)
    assert fid.score(rng.permutation(x), rng.permutation(y)) == pytest.approx(whole, abs=slack)
    assert fid.score(x, x) == pytest.approx(0, abs=slack)


@pytest.mark.parametrize("n", [30, 60, 200])
def test_squared_singular_values_are_not_trusted_where_most_are_near_zero(n: int) -> None:
    x, y = normal(n, 60, 0, decay=2), normal(n, 60, 1, decay=2)
    assert fid.score(x, y) == pytest.approx(by_singular_values(x, y), rel=1e-9)


def test_rounding_never_makes_it_negative() -> None:
    assert min(fid.score(rows, rows) for rows in (normal(50, 5, i) for i in range(50))) == 0


@pytest.mark.parametrize(("n", "m"), [(300, 300), (90, 400), (61, 61)])
def test_it_equals_the_matrix_root(n: int, m: int) -> None:
    x, y = normal(n, 60, 0), normal(m, 60, 1) + 0.5
    assert fid.score(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


def test_it_equals_the_matrix_root_of_few_images() -> None:
    x, y = normal(20, 60, 0), normal(30, 60, 1) + 0.5
    assert fid.score(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


@pytest.mark.skipif(
    "disp" not in signature(sqrtm).parameters,
    reason="clean-fid gives sqrtm an argument that scipy 1.18 has no more",
)
@pytest.mark.filterwarnings("ignore:.*disp.*:DeprecationWarning")
def test_it_equals_clean_fid() -> None:
    x, y = normal(300, 40, 0), normal(200, 40, 1) + 0.5
    moments = [f(rows) for rows in (x, y) for f in (lambda r: r.mean(0), lambda r: np.cov(r.T))]
    assert fid.score(x, y) == pytest.approx(frechet_distance(*moments), rel=1e-9)


def test_it_equals_torch_fidelity() -> None:
    x, y = normal(300, 40, 0), normal(200, 40, 1) + 0.5
    stats = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (x, y)]
    told = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert fid.score(x, y) == pytest.approx(told, rel=1e-9)


def test_it_equals_torchmetrics() -> None:
    x, y = normal(300, 40, 0), normal(200, 40, 1) + 0.5
    features = nn.Identity()
    features.num_features = 40  # type: ignore[assignment]
    theirs = FrechetInceptionDistance(feature=features)
    theirs.update(torch.from_numpy(x), real=False)
    theirs.update(torch.from_numpy(y), real=True)
    assert fid.score(x, y) == pytest.approx(float(theirs.compute()), rel=1e-9)


@pytest.mark.parametrize(
    ("n", "m", "decay"),
    [(200, 150, np.inf), (200, 12, np.inf), (20, 25, np.inf), (200, 150, 0.5), (44, 44, np.inf)],
    ids=["many", "few real", "few", "nearly singular", "few once a group is out"],
)
def test_leaving_a_group_out_is_scoring_without_it(n: int, m: int, decay: float) -> None:
    x, y = normal(n, 40, 0, decay=decay), normal(m, 40, 1, decay=decay) + 0.5
    groups, real_groups = (np.array([f"s{i % 5}" for i in range(count)]) for count in (n, m))
    without = fid.leave_out(x, y, groups, real_groups)
    assert list(without) == ["s0", "s1", "s2", "s3", "s4"]
    for group, value in without.items():
        alone = by_singular_values(x[groups != group], y[real_groups != group])
        assert value == pytest.approx(alone, rel=1e-6)


def test_fewer_images_raise_it_as_its_bias_says() -> None:
    few, more, many = (fid.score(normal(n, 20, 0), normal(n, 20, 1)) for n in (20, 100, 1000))
    assert few > more > many
    assert "upwards" in fid.bias and "equal n" in fid.bias
