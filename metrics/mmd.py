"""Squared maximum mean discrepancy of two sets, and of what remains of them without some rows.

Source: Gretton et al. 2012, "A kernel two-sample test", section 2.2.
"""

from collections.abc import Callable

import numpy as np

from bench.metrics.sets import Floats, Mask

Kernel = Callable[[Floats, Floats], Floats]
"""(N, D) and (M, D) to (N, M)."""
BLOCK = 256
"""Rows of a kernel matrix that are in memory at a time."""


class Discrepancy:
    """MMD^2 for the rows of either set that count.

    Unbiased (pairs of a row and itself do not count, so it may be negative) or biased (they do).
    """

    def __init__(self, kernel: Kernel, generated: Floats, real: Floats, unbiased: bool) -> None:
        self._generated = Within(kernel, generated, unbiased)
        self._real = Within(kernel, real, unbiased)
        self._across = Sums(kernel, generated, real)

    def __call__(self, generated: Mask, real: Mask) -> float:
        across = self._across.over(generated, real) / (int(generated.sum()) * int(real.sum()))
        return self._generated.mean(generated) + self._real.mean(real) - 2 * across


class Within:
    """Mean of a kernel over the pairs of one set."""

    def __init__(self, kernel: Kernel, rows: Floats, unbiased: bool) -> None:
        self._sums, self._unbiased = Sums(kernel, rows, rows), unbiased
        self._own = np.array([kernel(row, row).item() for row in rows[:, None]])

    def mean(self, kept: Mask) -> float:
        """Over the rows that count."""
        count, total = int(kept.sum()), self._sums.over(kept, kept)
        if self._unbiased:
            return (total - float(self._own[kept].sum())) / (count * (count - 1))
        return total / count**2


class Sums:
    """Sums of a kernel over the pairs of two sets, computed once for all their subsets."""

    def __init__(self, kernel: Kernel, one: Floats, other: Floats) -> None:
        self._kernel, self._one, self._other = kernel, one, other
        self._of_one, self._of_other = margins(kernel, one, other)

    def over(self, one: Mask, other: Mask) -> float:
        """The sum over the rows that count; only what is left out of both is looked at again."""
        taken = self._of_one[~one].sum() + self._of_other[~other].sum()
        twice, _ = margins(self._kernel, self._one[~one], self._other[~other])
        return float(self._of_one.sum() - taken + twice.sum())


def margins(kernel: Kernel, one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """For every row of either set, the kernel's sum over the other set: (N,) and (M,)."""
    rows, columns = np.zeros(len(one)), np.zeros(len(other))
    for start in range(0, len(one), BLOCK):
        block = kernel(one[start : start + BLOCK], other)
        rows[start : start + BLOCK] = block.sum(axis=1)
        columns += block.sum(axis=0)
    return rows, columns
