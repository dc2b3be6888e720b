"""Kernel Inception distance: like FID, without its bias."""

import numpy as np

from bench.api import Encoder
from bench.metrics.mmd import Discrepancy
from bench.metrics.sets import Between, Floats, SetDistance


class Kid(SetDistance):
    """Unbiased MMD^2 of Inception features under a cubic kernel, (x.y / D + 1)^3.

    Lower is better, may be negative; not multiplied by 1000. Over the full sets, which is
    deterministic and varies least; with ``subsets``, the mean over that many draws of
    ``subset_size`` images from either set, as torch-fidelity and clean-fid do it.
    Source: Binkowski et al. 2018, section 4; torch-fidelity, metric_kid.py.
    """

    name = "kid"
    encoder = "inception-2015-clean"
    unit = "MMD^2"
    bias = "unbiased: fewer images make it less sure, not higher"

    def __init__(
        self,
        encoder: Encoder | None = None,
        subsets: int = 0,
        subset_size: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder)
        self._subsets, self._size, self._seed = subsets, subset_size, seed
        if subsets:
            self.least = max(SetDistance.least, subset_size)

    def between(self, generated: Floats, real: Floats) -> Between:
        if not self._subsets:
            return Discrepancy(cubic, generated, real, unbiased=True)
        return lambda kept, kept_real: self._drawn(generated[kept], real[kept_real])

    def _drawn(self, generated: Floats, real: Floats) -> float:
        rng, every = np.random.default_rng(self._seed), np.ones(self._size, dtype=bool)
        drawn = []
        for _ in range(self._subsets):
            pair = [rows[rng.choice(len(rows), self._size, False)] for rows in (generated, real)]
            drawn.append(Discrepancy(cubic, *pair, unbiased=True)(every, every))
        return float(np.mean(drawn))


def cubic(one: Floats, other: Floats) -> Floats:
    """(x.y / D + 1)^3 of (N, D) and (M, D): (N, M)."""
    base = one @ other.T / one.shape[1] + 1
    return base * base * base
