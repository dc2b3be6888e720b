"""Ranks as far as subjects tell them: the positions that a run may hold among those beside it.

Ranking every resample anew would put runs that are equal apart by chance; here a run stands above
another only where their paired difference says so, whichever of the differences is looked at.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.stats import RESAMPLES, SEED

Floats = NDArray[np.float64]
BySubject = Mapping[str, Sequence[float]]
"""Subject to the numbers of a run's images of it."""
TINY = 1e-12
"""What rounding alone may amount to."""


class Span(NamedTuple):
    """The first and the last position that are left open; 1 is the best."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}\u2013{self.last}"

    def overlaps(self, other: "Span") -> bool:
        """Whether the two are tied."""
        return self.first <= other.last and other.first <= self.last


def spans(
    runs: Sequence[BySubject], higher_is_better: bool = True, resamples: int = RESAMPLES
) -> list[Span]:
    """Where every run may stand, in the order of the runs: 95 % confidence for all spans together.

    Subjects are drawn with replacement, the same ones for all runs. The paired differences of all
    runs get intervals that hold together (largest studentised difference); those that leave out 0
    say who stands above whom (Mogstad, Romano, Shaikh and Wilhelm 2024, joint confidence sets).
    One subject places nobody. ValueError when the runs have not the same subjects and images.
    """
    sums, counts = _sums(runs)
    subjects = len(counts)
    if subjects < 2:
        return [Span(1, len(runs))] * len(runs)
    direction = 1.0 if higher_is_better else -1.0
    draws = np.random.default_rng(SEED).multinomial(
        subjects, np.full(subjects, 1 / subjects), size=resamples
    )
    drawn = direction * (draws @ sums.T) / (draws @ counts)[:, None]
    means = direction * sums.sum(axis=1) / counts.sum()
    spreads = [(drawn - drawn[:, [j]]).std(axis=0) for j in range(len(runs))]
    strayed = [
        _strayed(drawn - drawn[:, [j]] - (means - means[j]), spread)
        for j, spread in enumerate(spreads)
    ]
    limit = float(np.quantile(np.max(strayed, axis=0), 0.95))
    return [_span(means - means[j], limit * spread) for j, spread in enumerate(spreads)]


def _sums(runs: Sequence[BySubject]) -> tuple[Floats, Floats]:
    """(runs, subjects) sums and (subjects,) counts, subjects in the order of their names."""
    subjects = sorted(runs[0]) if runs else []
    sizes = {subject: len(runs[0][subject]) for subject in subjects}
    if any({subject: len(run[subject]) for subject in run} != sizes for run in runs):
        raise ValueError("the runs answer different questions")
    sums = [[fsum(run[subject]) for subject in subjects] for run in runs]
    return np.array(sums), np.array([float(sizes[subject]) for subject in subjects])


def _strayed(drawn: Floats, spread: Floats) -> Floats:
    """(resamples,) how many spreads the farthest of the (resamples, runs) differences lies off."""
    varies = spread > TINY
    strayed: Floats = (np.abs(drawn[:, varies]) / spread[varies]).max(axis=1, initial=0.0)
    return strayed


def _span(ahead: Floats, reach: Floats) -> Span:
    """The span of a run that every run is ``ahead`` of, by so much or ``reach`` less or more."""
    sure = np.abs(ahead) > reach + TINY
    better, worse = (int(np.sum(sure & side)) for side in (ahead > 0, ahead < 0))
    return Span(1 + better, len(ahead) - worse)
