"""Ranks: what places a run may hold, as far as subjects tell."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.ranks import BySubject, Span, spans

FEW = 200
"""Resamples that are enough where nothing is near a border."""


def runs(levels: list[float], noise: float, seed: int = 0, subjects: int = 24) -> list[BySubject]:
    """Runs whose subjects differ alike by far more than the runs do."""
    random = np.random.default_rng(seed)
    common = random.normal(0, 1, subjects)
    return [
        {f"s{i}": [level + common[i] + random.normal(0, noise)] for i in range(subjects)}
        for level in levels
    ]


class TestSpans:
    def test_runs_that_lie_far_apart_have_one_place_each(self) -> None:
        found = spans(runs([0.1, 0.9, 0.5], 0.01), resamples=FEW)
        assert found == [Span(3, 3), Span(1, 1), Span(2, 2)]

    def test_less_may_be_better(self) -> None:
        found = spans(runs([0.1, 0.9, 0.5], 0.01), higher_is_better=False, resamples=FEW)
        assert found == [Span(1, 1), Span(3, 3), Span(2, 2)]

    def test_the_same_numbers_share_all_their_places(self) -> None:
        [one] = runs([0.5], 0.1)
        assert spans([one, one, one], resamples=FEW) == [Span(1, 3)] * 3

    def test_a_difference_that_all_subjects_share_is_sure(self) -> None:
        [one] = runs([0.5], 0.1)
        higher = {subject: [values[0] + 0.25] for subject, values in one.items()}
        assert spans([one, higher], resamples=FEW) == [Span(2, 2), Span(1, 1)]

    def test_one_subject_places_nobody(self) -> None:
        assert spans(runs([0.1, 0.9], 0.01, subjects=1)) == [Span(1, 2)] * 2

    def test_a_run_alone_is_the_first_and_no_runs_have_no_ranks(self) -> None:
        assert spans(runs([0.1], 0.01), resamples=FEW) == [Span(1, 1)]
        assert spans([], resamples=FEW) == []

    def test_subjects_weigh_as_many_images_as_they_have(self) -> None:
        many = {"a": [0.0] * 98, **{f"s{i}": [1.0] for i in range(20)}}
        few = {"a": [0.1] * 98, **{f"s{i}": [0.9] for i in range(20)}}
        [first, second] = spans([many, few], resamples=FEW)
        assert first.last == second.last == 2

    @pytest.mark.parametrize("other", [{"s0": [0.5]}, {"s0": [0.5], "s1": [0.5, 0.5]}])
    def test_runs_must_answer_the_same_questions(self, other: BySubject) -> None:
        with pytest.raises(ValueError, match="different questions"):
            spans([{"s0": [0.5], "s1": [0.5]}, other])

    def test_equal_methods_are_seldom_set_apart(self) -> None:
        """What the confidence means: of 60 boards of five equals, about 1 in 20 errs."""
        boards = (spans(runs([0.5] * 5, 0.1, seed), resamples=FEW) for seed in range(60))
        assert sum(set(board) != {Span(1, 5)} for board in boards) <= 9

    def test_who_is_above_another_has_it_below(self) -> None:
        found = spans(runs([0.5, 0.52, 0.55, 0.6, 0.61], 0.05), resamples=FEW)
        above = sum(span.first - 1 for span in found)
        below = sum(len(found) - span.last for span in found)
        assert 0 < above == below

    @settings(max_examples=15, deadline=None)
    @given(
        levels=st.lists(st.floats(0, 1), min_size=2, max_size=6),
        order=st.randoms(use_true_random=False),
    )
    def test_no_order_of_runs_changes_a_span_and_each_holds_its_own_place(
        self, levels: list[float], order: Random
    ) -> None:
        made = runs(levels, 0.1)
        found = spans(made, resamples=FEW)
        shuffled = list(range(len(made)))
        order.shuffle(shuffled)
        again = spans([made[i] for i in shuffled], resamples=FEW)
        assert [found[i] for i in shuffled] == again
        means = [np.mean([value for [value] in run.values()]) for run in made]
        for span, mean in zip(found, means, strict=True):
            assert span.first <= 1 + sum(other > mean for other in means) <= span.last


def test_spans_are_written_as_readers_know_them() -> None:
    assert [str(Span(1, 1)), str(Span(2, 5))] == ["1", "2\u20135"]


def test_spans_that_share_a_place_are_tied() -> None:
    assert Span(1, 3).overlaps(Span(3, 4)) and Span(3, 4).overlaps(Span(1, 3))
    assert not Span(1, 2).overlaps(Span(3, 4))
