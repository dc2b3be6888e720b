"""Krippendorff's alpha, against its author's own example."""

import numpy as np
import pytest

from bench.study.agreement import alpha

EXAMPLE = """\
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Four observers, twelve units, five values (Krippendorff 2011, part D): ordinal alpha .815."""


def counts(table: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    units = zip(*(line.split() for line in table.splitlines()), strict=True)
    return np.array([[float(unit.count(value)) for value in "12345"] for unit in units])


def test_it_is_the_published_number() -> None:
    assert alpha(counts(EXAMPLE)) == pytest.approx(0.815, abs=5e-4)


def test_full_agreement_is_1_and_the_wrong_way_round_is_below_0() -> None:
    assert alpha(np.array([[3.0, 0, 0], [0, 0, 3.0]])) == 1
    apart = alpha(np.array([[1.0, 0, 1.0], [1.0, 0, 1.0]]))
    assert apart is not None
    assert apart < 0


def test_a_neighbouring_value_disagrees_less_than_a_far_one() -> None:
    near = alpha(np.array([[2.0, 0, 0], [1, 1, 0], [0, 0, 2], [0, 2, 0]]))
    far = alpha(np.array([[2.0, 0, 0], [1, 0, 1], [0, 0, 2], [0, 2, 0]]))
    assert near is not None
    assert far is not None
    assert near > far


def test_it_is_unknown_where_nothing_can_disagree() -> None:
    assert alpha(np.array([[1.0, 0, 0], [0, 1, 0]])) is None
    assert alpha(np.array([[2.0, 0, 0], [3, 0, 0]])) is None
