"""Intervals and paired tests over subjects: images of one subject say nothing about the others.

Everything here is deterministic: a fixed generator, and sums that no order of rows can change.
"""

from collections.abc import Mapping, Sequence
from math import fsum, isfinite

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat
from scipy import stats

from bench.api import Frozen

Floats = NDArray[np.float64]
Key = tuple[str, int, int]
"""Subject, prompt index, seed: what two runs are paired over."""

SEED = 0
RESAMPLES = 10_000
FLIPS = 2**14
"""Sign patterns tried by the permutation test; up to 14 subjects this is all of them."""


class Estimate(Frozen):
    """A mean over images with its 95 % interval over subjects."""

    mean: FiniteFloat
    """Over all images."""
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    """Percentile bootstrap over subjects; None for fewer than two subjects, which bound nothing."""
    n: int = Field(ge=1)
    """Images."""
    n_subjects: int = Field(ge=1)


class Paired(Frozen):
    """How far run A lies above run B on the same questions."""

    difference: FiniteFloat
    """Mean of A - B over all images."""
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    """Percentile bootstrap over subjects; None for fewer than two subjects."""
    p: float = Field(ge=0, le=1)
    """Two-sided sign-flip permutation test on the subjects' mean differences."""
    n_subjects: int = Field(ge=1)
    n: int = Field(ge=1)
    """Pairs of images."""

    @property
    def separable(self) -> bool:
        """Whether the interval leaves out zero; never with fewer than two subjects."""
        return self.ci95 is not None and not self.ci95[0] <= 0 <= self.ci95[1]


def aggregate(values: Mapping[str, Sequence[float]], resamples: int = RESAMPLES) -> Estimate:
    """The mean over all images, and a cluster bootstrap over subjects.

    ``values``: subject to the numbers of its images, in any order. Each resample draws subjects
    with replacement and takes the mean over all images of those drawn (Field and Welsh 2007).
    ValueError without values or when one is not finite.
    """
    sums, counts = _clusters(values)
    return Estimate(
        mean=fsum(sums) / int(counts.sum()),
        ci95=_interval(sums, counts, resamples),
        n=int(counts.sum()),
        n_subjects=len(counts),
    )


def paired(a: Mapping[Key, float], b: Mapping[Key, float], resamples: int = RESAMPLES) -> Paired:
    """A - B over the same (subject, prompt, seed), clustered by subject.

    Every subject weighs as many images as it has in ``difference`` and ``ci95``, and one in ``p``.
    ValueError when the two do not answer the same questions.
    """
    if a.keys() != b.keys():
        raise ValueError("the two sides answer different questions")
    differences: dict[str, list[float]] = {}
    for key, value in a.items():
        differences.setdefault(key[0], []).append(value - b[key])
    sums, counts = _clusters(differences)
    estimate = aggregate(differences, resamples)
    return Paired(
        difference=estimate.mean,
        ci95=estimate.ci95,
        p=_sign_flip(sums / counts),
        n_subjects=estimate.n_subjects,
        n=estimate.n,
    )


def jackknife(whole: float, without: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of a number about a set, from that number without each subject in turn.

    Delete-one-group jackknife with Student's t (Efron and Tibshirani 1993, chapter 11). None for
    fewer than two subjects. ValueError when a value is not finite.
    """
    if not all(isfinite(value) for value in (whole, *without)):
        raise ValueError("a value is not finite")
    count = len(without)
    if count < 2:
        return None
    spread = np.sqrt((count - 1) * np.var(without))
    reach = float(stats.t.ppf(0.975, count - 1) * spread)
    return whole - reach, whole + reach


def paired_sets(
    a: tuple[float, Mapping[str, float]], b: tuple[float, Mapping[str, float]], n: int
) -> Paired:
    """A - B of a number about sets, each with that number without every subject.

    The interval is the jackknife's over the differences, ``p`` is that of its t statistic; ``n``
    counts the images of one side. ValueError when the two do not have the same subjects.
    """
    (whole_a, without_a), (whole_b, without_b) = a, b
    if without_a.keys() != without_b.keys():
        raise ValueError("the two sides have different subjects")
    differences = [without_a[subject] - without_b[subject] for subject in sorted(without_a)]
    difference = whole_a - whole_b
    interval = jackknife(difference, differences)
    return Paired(
        difference=difference,
        ci95=interval,
        p=_t_test(difference, interval, len(differences)),
        n_subjects=max(1, len(differences)),
        n=n,
    )


def _t_test(difference: float, interval: tuple[float, float] | None, count: int) -> float:
    if interval is None or interval[0] == interval[1]:
        return float(difference == 0)
    reach = (interval[1] - interval[0]) / 2
    t = difference / reach * stats.t.ppf(0.975, count - 1)
    return float(2 * stats.t.sf(abs(t), count - 1))


def _clusters(values: Mapping[str, Sequence[float]]) -> tuple[Floats, Floats]:
    """Sums and counts per subject, subjects in the order of their names."""
    filled = [values[subject] for subject in sorted(values) if len(values[subject])]
    if not filled:
        raise ValueError("there are no values")
    if not all(isfinite(value) for cluster in filled for value in cluster):
        raise ValueError("a value is not finite")
    return np.array([fsum(c) for c in filled]), np.array([float(len(c)) for c in filled])


def _interval(sums: Floats, counts: Floats, resamples: int) -> tuple[float, float] | None:
    if len(counts) < 2:
        return None
    result = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _ratio(sums: Floats, counts: Floats, axis: int) -> Floats:
    ratio: Floats = sums.sum(axis=axis) / counts.sum(axis=axis)
    return ratio


def _sign_flip(differences: Floats) -> float:
    if len(differences) < 2:
        return 1.0  # Both signs of a single difference lie equally far from zero.
    # scipy enumerates when all patterns fit and otherwise draws, with the +1 correction.
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)
