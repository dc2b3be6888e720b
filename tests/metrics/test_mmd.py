"""Sums over kernels of which only a few rows are ever in memory."""

import numpy as np
import pytest

from bench.metrics import mmd
from bench.metrics.mmd import Discrepancy, Sums
from bench.metrics.sets import Floats

ROWS = np.random.default_rng(0).normal(size=(700, 3))
OTHERS = np.random.default_rng(1).normal(size=(300, 3))


def test_memory_holds_one_block_of_a_kernel() -> None:
    seen: list[tuple[int, ...]] = []

    def kernel(one: Floats, other: Floats) -> Floats:
        block: Floats = one @ other.T
        seen.append(block.shape)
        return block

    apart = Discrepancy(kernel, ROWS, OTHERS, unbiased=True)
    apart(np.arange(700) % 2 == 0, np.arange(300) % 3 == 0)
    assert max(rows for rows, _ in seen) == mmd.BLOCK < 300


@pytest.mark.parametrize("part", [0, 1, 2, 5])
def test_a_sum_over_a_part_is_the_sum_over_its_pairs(part: int) -> None:
    kernel = np.exp(-np.square(ROWS[:, None] - OTHERS).sum(axis=-1))
    kept, kept_other = np.arange(700) % 5 >= part, np.arange(300) % 7 >= part
    sums = Sums(lambda one, other: np.exp(-np.square(one[:, None] - other).sum(-1)), ROWS, OTHERS)
    assert sums.over(kept, kept_other) == pytest.approx(
        kernel[kept][:, kept_other].sum(), rel=1e-11, abs=1e-9
    )


def test_the_mean_kernel_of_unlike_sets_is_taken_twice() -> None:
    one, other = np.array([[1.0], [3.0]]), np.array([[2.0], [5.0], [8.0]])
    every = np.ones(2, bool), np.ones(3, bool)

    def product(a: Floats, b: Floats) -> Floats:
        return a @ b.T

    assert Discrepancy(product, one, other, unbiased=False)(*every) == pytest.approx((2 - 5) ** 2)
    within = 3 + (10 + 16 + 40) / 3
    assert Discrepancy(product, one, other, unbiased=True)(*every) == pytest.approx(within - 20)
