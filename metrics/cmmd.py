"""CLIP maximum mean discrepancy: a distance of sets that assumes no normal distribution."""

import numpy as np

from bench.metrics.mmd import Discrepancy
from bench.metrics.sets import Between, Floats, SetDistance
from bench.metrics.similarity import directions

SIGMA = 10.0
SCALE = 1000.0


class Cmmd(SetDistance):
    """1000 MMD^2 of unit-length CLIP features under a Gaussian kernel of width 10, as published.

    At least 0, lower is better. Pairs of an image and itself count, so that two sets of the same
    distribution are apart by 10 (1 - their mean cosine) (1/n + 1/m).
    Source: Jayasumana et al. 2024, section 4; google-research/cmmd, distance.py.
    """

    name = "cmmd"
    encoder = "clip-vitl14-336-openai"
    unit = "1000 MMD^2"
    bias = "biased upwards, more for fewer images: compare at equal n only"
    least = 1
    unbiased = False

    def between(self, generated: Floats, real: Floats) -> Between:
        apart = Discrepancy(gaussian, directions(generated), directions(real), self.unbiased)
        return lambda kept, kept_real: SCALE * apart(kept, kept_real)


class CmmdUnbiased(Cmmd):
    """CMMD without the pairs of an image and itself: right on average for any number of images.

    May be negative, lower is better. Source: Gretton et al. 2012, equation 3.
    """

    name = "cmmd_unbiased"
    bias = "unbiased: fewer images make it less sure, not higher"
    least = 2
    unbiased = True


def gaussian(one: Floats, other: Floats) -> Floats:
    """exp(-|x - y|^2 / 200) of unit-length (N, D) and (M, D): (N, M)."""
    kernel: Floats = np.exp((one @ other.T - 1) / SIGMA**2)
    return kernel
