"""Which pairs are trained on: terciles of difficulty, and winners by a label."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.methods.choice import TERCILES, Difficulty, by_difficulty, winners
from bench.methods.similarity import Similarity

PARTS: tuple[Difficulty, ...] = ("low", "mid", "high")
COSINES = st.lists(st.floats(-1, 1), min_size=3, max_size=40)


def measured(cosines: list[float]) -> list[Similarity]:
    """By falling index, as no order of drawing may be mistaken for another."""
    count = len(cosines)
    return [Similarity(count - place, 0, value, 0.0) for place, value in enumerate(cosines)]


def part(of: list[Similarity], difficulty: Difficulty) -> list[int]:
    place = TERCILES.index(difficulty)
    size = (place + 1) * len(of) // 3 - place * len(of) // 3
    chosen: list[int] = by_difficulty(of, difficulty, size)
    return chosen


@given(COSINES)
def test_terciles_are_a_partition_of_nearly_equal_parts(cosines: list[float]) -> None:
    of = measured(cosines)
    parts = [part(of, difficulty) for difficulty in PARTS]
    members = [index for chosen in parts for index in chosen]
    assert sorted(members) == sorted(one.index for one in of)
    sizes = [len(chosen) for chosen in parts]
    assert max(sizes) - min(sizes) <= 1


@given(COSINES)
def test_no_pair_of_a_lower_tercile_is_more_alike_than_one_of_a_higher(
    cosines: list[float],
) -> None:
    of = measured(cosines)
    alike = {one.index: one.to_target for one in of}
    low, mid, high = ([alike[index] for index in part(of, name)] for name in PARTS)
    assert max(low) <= min(mid) and max(mid) <= min(high)


@given(COSINES)
def test_a_tercile_keeps_the_order_of_drawing(cosines: list[float]) -> None:
    of = measured(cosines)
    order = [one.index for one in of]
    for difficulty in PARTS:
        chosen = part(of, difficulty)
        assert chosen == sorted(chosen, key=order.index)
        assert by_difficulty(of, difficulty, 1) == chosen[:1]


def test_high_are_the_pairs_that_are_most_alike() -> None:
    of = measured([0.9, 0.1, 0.5])
    assert [by_difficulty(of, name, 1) for name in PARTS] == [[2], [1], [3]]


def test_a_tercile_that_is_too_small_says_which_pool_would_do() -> None:
    with pytest.raises(UserError, match=r"third of 4 pairs is fewer than negatives=2; .*pool=6"):
        by_difficulty(measured([0.1, 0.2, 0.3, 0.4]), "low", 2)


def test_the_winner_is_most_like_the_reference_whatever_the_target_is_like() -> None:
    drawn = [
        Similarity(5, 0, to_target=0.9, to_reference=0.2),
        Similarity(5, 1, to_target=0.1, to_reference=0.8),
        Similarity(3, 0, to_target=0.5, to_reference=0.7),
        Similarity(3, 1, to_target=0.5, to_reference=0.1),
        Similarity(3, 2, to_target=0.5, to_reference=0.4),
    ]
    assert winners(drawn) == {5: (1, 0), 3: (0, 1)}


def test_candidates_that_are_equally_like_the_reference_say_nothing() -> None:
    assert winners([Similarity(1, 0, 0.1, 0.5), Similarity(1, 1, 0.9, 0.5)]) == {}
