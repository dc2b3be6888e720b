"""Intervals and paired tests over subjects: images of one subject say nothing about the others.

Everything here is deterministic: a fixed generator, and sums that no order of rows can change.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb, fsum, inf, isfinite, sqrt
from typing import Any

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
HALVES = 100
"""Halves of the subjects that are drawn; up to 8 subjects these are all of them."""
LEVEL, POWER = 0.05, 0.8
"""Of the smallest difference that a design can detect."""


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
    differences = by_subject({key: value - b[key] for key, value in a.items()})
    sums, counts = _clusters(differences)
    estimate = aggregate(differences, resamples)
    return Paired(
        difference=estimate.mean,
        ci95=estimate.ci95,
        p=_sign_flip(sums / counts),
        n_subjects=estimate.n_subjects,
        n=estimate.n,
    )


def by_subject(values: Mapping[Key, float]) -> dict[str, list[float]]:
    """Every subject's numbers."""
    found: dict[str, list[float]] = {}
    for (subject, _, _), value in values.items():
        found.setdefault(subject, []).append(value)
    return found


def two_way(
    values: Mapping[tuple[str, str], Sequence[float]], resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """95 % interval of the mean over all images where prompts, too, are a sample of many.

    ``values``: (subject, prompt) to the numbers of its images. Subjects and prompts are drawn with
    replacement apart from each other, and an image counts as often as both of its were drawn
    (Owen 2007, the pigeonhole bootstrap); what falls on no image at all is not counted. None for
    fewer than two subjects or prompts, and where a prompt is asked of fewer than two subjects on
    average: such prompts belong to their subjects, which ``aggregate`` draws whole.
    """
    sums, counts = _table(values)
    subjects, prompts = counts.shape
    if min(subjects, prompts) < 2 or np.count_nonzero(counts) < 2 * prompts:
        return None
    rng = np.random.default_rng(SEED)
    rows = rng.multinomial(subjects, np.full(subjects, 1 / subjects), resamples)
    columns = rng.multinomial(prompts, np.full(prompts, 1 / prompts), resamples)
    total, weight = (((rows @ table) * columns).sum(axis=1) for table in (sums, counts))
    drawn = total[weight > 0] / weight[weight > 0]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def wilcoxon(differences: Mapping[str, Sequence[float]]) -> float:
    """Two-sided p of the signed-rank test on subjects' mean differences (Wilcoxon 1945).

    Subjects without a difference are ranked and counted for neither side (Pratt 1959). 1 for a
    single subject, of which both signs are as likely.
    """
    sums, counts = _clusters(differences)
    means = sums / counts
    if len(means) < 2 or not means.any():
        return 1.0
    return float(stats.wilcoxon(means, zero_method="pratt").pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p of a family so adjusted that any false alarm in it is as rare as the level says.

    In the order given (Holm 1979).
    """
    ordered = sorted(range(len(ps)), key=ps.__getitem__)
    adjusted, highest = [1.0] * len(ps), 0.0
    for place, index in enumerate(ordered):
        highest = max(highest, min(1.0, ps[index] * (len(ps) - place)))
        adjusted[index] = highest
    return adjusted


def standard_error(
    values: Mapping[str, Sequence[float]], resamples: int = RESAMPLES
) -> float | None:
    """Standard deviation of the means that ``aggregate`` draws; None for less than two subjects."""
    sums, counts = _clusters(values)
    if len(counts) < 2:
        return None
    return float(_bootstrap(sums, counts, resamples).standard_error)


def detectable(error: float, freedom: float = inf) -> float:
    """The true difference that would be found in 80 of 100 repetitions, at 5 % false alarms.

    ``error``: the standard error of the difference; ``freedom``: degrees of freedom where the test
    uses Student's t.
    """
    return error * float(stats.t.ppf(1 - LEVEL / 2, freedom) + stats.t.ppf(POWER, freedom))


def jackknife(whole: float, without: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of a number about a set, from that number without each subject in turn.

    Delete-one-group jackknife with Student's t (Efron and Tibshirani 1993, chapter 11). None for
    fewer than two subjects. ValueError when a value is not finite.
    """
    if not all(isfinite(value) for value in (whole, *without)):
        raise ValueError("a value is not finite")
    error = jackknife_error(without)
    if error is None:
        return None
    reach = float(stats.t.ppf(0.975, len(without) - 1) * error)
    return whole - reach, whole + reach


def jackknife_error(without: Sequence[float]) -> float | None:
    """Standard error of a number about a set; None for fewer than two subjects."""
    count = len(without)
    return float(np.sqrt((count - 1) * np.var(without))) if count > 1 else None


def halves(subjects: int) -> list[list[int]]:
    """Half of so many subjects (less one half where that is no number), again and again.

    All that there are where these are at most ``HALVES``, else so many by lot, always the same.
    """
    size = subjects // 2
    if not size:
        return []
    if comb(subjects, size) <= HALVES:
        return [list(half) for half in combinations(range(subjects), size)]
    rng = np.random.default_rng(SEED)
    return [sorted(rng.permutation(subjects)[:size].tolist()) for _ in range(HALVES)]


def halved(whole: float, of_halves: Sequence[float], subjects: int) -> tuple[float, float] | None:
    """95 % interval of a number about a set, from that number for ``halves`` of the subjects.

    Delete-half jackknife with Student's t: half of the subjects vary about all of them as those do
    about everybody (Shao and Wu 1989). None for fewer than two subjects. ValueError when a value is
    not finite.
    """
    if not all(isfinite(value) for value in (whole, *of_halves)):
        raise ValueError("a value is not finite")
    if subjects < 2:
        return None
    size = subjects // 2
    error = float(np.std(of_halves)) * sqrt(size / (subjects - size))
    reach = float(stats.t.ppf(0.975, subjects - 1)) * error
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


def _table(values: Mapping[tuple[str, str], Sequence[float]]) -> tuple[Floats, Floats]:
    """Sums and counts, subjects by prompts."""
    subjects, prompts = (sorted({key[side] for key in values}) for side in (0, 1))
    sums, counts = np.zeros((2, len(subjects), len(prompts)))
    for (subject, prompt), numbers in values.items():
        cell = subjects.index(subject), prompts.index(prompt)
        sums[cell], counts[cell] = fsum(numbers), len(numbers)
    return sums, counts


def _interval(sums: Floats, counts: Floats, resamples: int) -> tuple[float, float] | None:
    if len(counts) < 2:
        return None
    ends = _bootstrap(sums, counts, resamples).confidence_interval
    return float(ends.low), float(ends.high)


def _bootstrap(sums: Floats, counts: Floats, resamples: int) -> Any:
    return stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(SEED),
    )


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
