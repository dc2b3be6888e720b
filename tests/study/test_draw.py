"""What is drawn by lot is fair, and the same again for the same seed."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.study.draw import sample, trials

PLACES = [(f"s{s}", prompt, seed) for s in range(5) for prompt in range(4) for seed in range(2)]
SEEDS = st.integers(0, 2**32)


@settings(max_examples=30)
@given(count=st.integers(1, 40), seed=SEEDS)
def test_every_subject_is_drawn_alike_often(count: int, seed: int) -> None:
    drawn = sample(PLACES, count, seed)
    assert len(set(drawn)) == count
    often = Counter(subject for subject, _, _ in drawn)
    assert max(often.values()) - min(often[f"s{s}"] for s in range(5)) <= 1


@settings(max_examples=30)
@given(seed=SEEDS)
def test_every_prompt_is_drawn_about_alike_often(seed: int) -> None:
    often = Counter(prompt for _, prompt, _ in sample(PLACES, 20, seed))
    assert all(3 <= often[prompt] <= 7 for prompt in range(4))


def test_the_order_of_the_cases_changes_nothing_and_the_seed_does() -> None:
    assert sample(PLACES[::-1], 10, seed=1) == sample(PLACES, 10, seed=1)
    assert sample(PLACES, 10, seed=2) != sample(PLACES, 10, seed=1)


@settings(max_examples=30)
@given(count=st.integers(1, 9), catches=st.integers(0, 3), seed=SEEDS)
def test_raters_share_the_pairs_evenly_and_each_sees_every_catch_trial(
    count: int, catches: int, seed: int
) -> None:
    raters, noise = dict.fromkeys(range(9), 0), list(range(100, 100 + catches))
    for number in range(5):
        seen = [shown.pair for shown in trials(raters, noise, count, seed, number)]
        assert len(seen) == len(set(seen)) == count + catches
        assert set(noise) <= set(seen)
        for pair in set(seen) - set(noise):
            raters[pair] += 1
        assert max(raters.values()) - min(raters.values()) <= 1


@settings(max_examples=30)
@given(seed=SEEDS)
def test_a_catch_trial_comes_in_every_part_of_a_list(seed: int) -> None:
    list_ = trials(dict.fromkeys(range(30), 0), [100, 101, 102], 30, seed, 0)
    places = [place for place, shown in enumerate(list_) if shown.pair >= 100]
    assert all(11 * part <= place <= 11 * (part + 1) for part, place in enumerate(places))


def test_raters_see_pairs_in_their_own_order_and_on_either_side() -> None:
    lists = [trials(dict.fromkeys(range(200), 0), [], 200, 0, number) for number in range(2)]
    assert [one.pair for one in lists[0]] != [one.pair for one in lists[1]]
    sides = [{one.pair: one.swapped for one in list_} for list_ in lists]
    assert 70 < sum(sides[0].values()) < 130
    assert 70 < sum(sides[0][pair] != sides[1][pair] for pair in sides[0]) < 130
