"""Krippendorff's alpha for ordered values: do raters agree more than chance would have them?"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def alpha(counts: Floats) -> float | None:
    """1 for perfect agreement, 0 for that of chance, below for less.

    ``counts``: (units, values), how many raters gave a unit each value, values in their order;
    units with fewer than two ratings do not count. None where no unit has two, or all values are
    one. Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part E, with the
    ordinal difference.
    """
    kept = counts[counts.sum(axis=1) >= 2]
    together = _coincidences(kept)
    totals = together.sum(axis=0)
    differences = _ordinal(totals)
    expected = (np.outer(totals, totals) * differences).sum()
    if not expected:
        return None
    observed = (together * differences).sum()
    return float(1 - (totals.sum() - 1) * observed / expected)


def _coincidences(counts: Floats) -> Floats:
    """How often two values meet in one unit, every unit weighing as many as it has ratings."""
    weights = 1 / (counts.sum(axis=1) - 1)
    pairs = np.einsum("uc,uk,u->ck", counts, counts, weights)
    found: Floats = pairs - np.diag((counts * weights[:, None]).sum(axis=0))
    return found


def _ordinal(totals: Floats) -> Floats:
    """Squared distances of values: how many ratings lie between them, half of their own counted."""
    middles = np.cumsum(totals) - totals / 2
    found: Floats = np.subtract.outer(middles, middles) ** 2
    return found
