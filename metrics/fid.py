"""Frechet Inception distance, exact and without a matrix root."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import eigvalsh

from bench.metrics.sets import Between, Floats, Mask, SetDistance

PRECISION = 2e-8
"""What rounding may add to the distance, as a part of both sets' variance."""


class Fid(SetDistance):
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) for means m and covariances S of the features.

    At least 0, lower is better. Right for any number of images, with nothing added to covariances.
    Source: Heusel et al. 2017, equation 6; Parmar et al. 2022 for the resizing.
    """

    name = "fid"
    encoder = "inception-2015-clean"
    unit = "distance"
    bias = "biased upwards, more for fewer images: compare at equal n only"

    def between(self, generated: Floats, real: Floats) -> Between:
        return Frechet(Cloud.of(generated), Cloud.of(real))


@dataclass(frozen=True, eq=False)
class Cloud:
    """Rows as deviations from the mean of all of them, from which any subset's moments follow."""

    center: Floats
    rows: Floats

    @classmethod
    def of(cls, features: Floats) -> "Cloud":
        """From (N, D) features."""
        center: Floats = features.mean(axis=0)
        return cls(center, features - center)

    @cached_property
    def scatter(self) -> Floats:
        """(D, D), the sum of the rows' outer products."""
        return self.rows.T @ self.rows

    @cached_property
    def lengths(self) -> Floats:
        """(N,), squared."""
        return np.einsum("nd,nd->n", self.rows, self.rows)

    def shift(self, kept: Mask) -> Floats:
        """(D,), how far the mean of the rows that count is from that of all."""
        return -self.rows[~kept].sum(axis=0) / kept.sum()

    def variance(self, kept: Mask) -> float:
        """Trace of the covariance."""
        count, shift = kept.sum(), self.shift(kept)
        return float((self.lengths[kept].sum() - count * shift @ shift) / (count - 1))

    def covariance(self, kept: Mask) -> Floats:
        """(D, D), by taking away what the rows that do not count gave."""
        count, shift, dropped = kept.sum(), self.shift(kept), self.rows[~kept]
        left = self.scatter - dropped.T @ dropped - count * np.outer(shift, shift)
        return left / (count - 1)

    def root(self, kept: Mask) -> Floats:
        """(at most D, D), a matrix R for which R^T R is the covariance."""
        rows = (self.rows[kept] - self.shift(kept)) / np.sqrt(kept.sum() - 1)
        return np.linalg.qr(rows, mode="r") if rows.shape[0] > rows.shape[1] else rows


@dataclass(frozen=True, eq=False)
class Frechet:
    """The distance for the rows of either set that count."""

    generated: Cloud
    real: Cloud

    def __call__(self, generated: Mask, real: Mask) -> float:
        apart = self.generated.center - self.real.center
        apart = apart + self.generated.shift(generated) - self.real.shift(real)
        variance = self.generated.variance(generated) + self.real.variance(real)
        overlap = self._overlap(generated, real, variance)
        return max(0.0, float(apart @ apart) + variance - 2 * overlap)

    def _overlap(self, generated: Mask, real: Mask, variance: float) -> float:
        """tr (S1 S2)^(1/2): the sum of the singular values of R1 R2^T.

        Their squares come several times faster, and exact enough where few of them are near zero.
        """
        squares = self._squares(generated, real)
        if squares is not None and blur(squares) <= PRECISION * variance:
            return float(np.sqrt(squares.clip(0)).sum())
        roots = self.generated.root(generated), self.real.root(real)
        return float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())

    def _squares(self, generated: Mask, real: Mask) -> Floats | None:
        """Eigenvalues of S1 S2 other than the zeros of small sets; None for a singular S2."""
        fewest, width = min(generated.sum(), real.sum()), len(self.real.center)
        if fewest <= width:
            products = self._products_of(generated, real)
            # Rows that are centred cannot all be independent: one eigenvalue is zero.
            return eigvalsh(products @ products.T)[1:]
        try:
            return eigvalsh(
                self.generated.covariance(generated), self.real.covariance(real), type=2
            )
        except LinAlgError:
            return None

    @cached_property
    def _products(self) -> Floats:
        return self.generated.rows @ self.real.rows.T

    def _products_of(self, generated: Mask, real: Mask) -> Floats:
        """R1 R2^T for sets as small as they are wide, the shorter side first."""
        kept = self._products[np.ix_(generated, real)]
        kept = kept - kept.mean(axis=0) - kept.mean(axis=1, keepdims=True) + kept.mean()
        scaled = kept / np.sqrt((generated.sum() - 1.0) * (real.sum() - 1.0))
        return scaled if scaled.shape[0] <= scaled.shape[1] else scaled.T


def blur(squares: Floats) -> float:
    """How far rounding may have moved the sum of the roots of eigenvalues."""
    rounding = 8 * np.finfo(np.float64).eps * np.abs(squares).max(initial=0)
    low, high = (np.sqrt((squares + side).clip(0)) for side in (-rounding, rounding))
    return float((high - low).sum() / 2)
