"""Several workers are done sooner, and never sooner than their share or the longest piece."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cost.spread import spread

TIMES = st.lists(st.integers(0, 1000), max_size=30)


@pytest.mark.parametrize(
    ("workers", "hours"), [(1, 12.0), (2, 6.0), (3, 5.0), (4, 5.0), (100, 5.0)]
)
def test_the_longest_piece_is_begun_first(workers: int, hours: float) -> None:
    assert spread([1, 2, 3, 5, 1], workers) == hours


def test_nothing_takes_no_time() -> None:
    assert spread([], 3) == 0


@given(TIMES, st.integers(1, 20))
def test_workers_share_what_one_would_do(times: list[int], workers: int) -> None:
    took = spread(times, workers)
    least = max([sum(times) / workers, *times])
    assert least <= took <= least * 4 / 3 + 1e-9
    assert spread(times, 1) == sum(times)
    assert spread(times, workers * 30) == max(times, default=0)
