"""Intervals over subjects and paired tests."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from bench.stats import (
    HALVES,
    Floats,
    Key,
    aggregate,
    detectable,
    halved,
    halves,
    holm,
    jackknife,
    jackknife_error,
    paired,
    paired_sets,
    standard_error,
    two_way,
    wilcoxon,
)

numbers = st.floats(-100, 100, allow_nan=False).map(lambda value: round(value, 6))
clusters = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(numbers, min_size=1, max_size=5), min_size=1
)
sides = st.dictionaries(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 2), st.integers(0, 1)),
    st.tuples(numbers, numbers),
    min_size=1,
)
few = settings(max_examples=40, deadline=None)


def split(both: dict[Key, tuple[float, float]]) -> tuple[dict[Key, float], dict[Key, float]]:
    return {key: a for key, (a, _) in both.items()}, {key: b for key, (_, b) in both.items()}


def grid(table: Floats) -> dict[Key, float]:
    """Subjects by prompts to paired values, one seed."""
    return {(f"s{s:02}", p, 0): float(v) for (s, p), v in np.ndenumerate(table)}


class TestAggregate:
    def test_the_mean_is_over_images_not_over_subjects(self) -> None:
        told = aggregate({"a": [1.0, 1.0, 1.0], "b": [5.0]})
        assert (told.mean, told.n, told.n_subjects) == (2.0, 4, 2)

    def test_two_subjects_can_only_be_drawn_in_three_ways(self) -> None:
        """aa and bb come up in a quarter of the resamples each, so the ends are their means."""
        assert aggregate({"a": [0.0, 2.0], "b": [4.0, 6.0, 8.0]}).ci95 == (1.0, 6.0)

    def test_a_drawn_subject_weighs_as_many_images_as_it_has(self) -> None:
        """The large one of ten is drawn three times in 5.7 % of resamples, more often in 1.3 %."""
        told = aggregate({"large": [1.0] * 90} | {f"small-{i}": [0.0] for i in range(9)})
        assert told.ci95 == pytest.approx((0, 270 / 277))

    def test_one_subject_bounds_nothing(self) -> None:
        assert aggregate({"a": [1.0, 2.0, 3.0]}).ci95 is None

    def test_agrees_with_scipy_for_one_image_per_subject(self) -> None:
        values = np.random.default_rng(3).normal(size=12)
        told = aggregate({f"s{i:02}": [float(value)] for i, value in enumerate(values)})
        expected = reference.bootstrap(
            (values,),
            np.mean,
            method="percentile",
            n_resamples=10_000,
            rng=np.random.default_rng(1),
        ).confidence_interval
        assert told.ci95 == pytest.approx((expected.low, expected.high), abs=0.03)

    def test_more_images_of_the_same_subjects_do_not_narrow_it(self) -> None:
        once = aggregate({"a": [0.1, 0.3], "b": [0.7, 0.5], "c": [0.2, 0.9]})
        often = aggregate({"a": [0.1, 0.3] * 9, "b": [0.7, 0.5] * 9, "c": [0.2, 0.9] * 9})
        assert often.ci95 == pytest.approx(once.ci95)

    @few
    @given(clusters, st.randoms())
    def test_the_order_of_rows_changes_nothing(
        self, values: dict[str, list[float]], random: Random
    ) -> None:
        subjects = random.sample(sorted(values), len(values))
        shuffled = {s: random.sample(values[s], len(values[s])) for s in subjects}
        assert aggregate(shuffled) == aggregate(values)

    @few
    @given(clusters, numbers)
    def test_a_shift_of_all_values_shifts_everything(
        self, values: dict[str, list[float]], shift: float
    ) -> None:
        told = aggregate(values)
        moved = aggregate({s: [value + shift for value in c] for s, c in values.items()})
        assert moved.mean == pytest.approx(told.mean + shift, abs=1e-9)
        if told.ci95:
            assert moved.ci95 == pytest.approx([end + shift for end in told.ci95], abs=1e-9)

    @few
    @given(clusters)
    def test_the_interval_stays_within_the_subjects_means(
        self, values: dict[str, list[float]]
    ) -> None:
        means = [sum(cluster) / len(cluster) for cluster in values.values()]
        low, high = aggregate(values).ci95 or (min(means), max(means))
        assert min(means) - 1e-9 <= low <= high <= max(means) + 1e-9

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self) -> None:
        """30 subjects of 10 images; taking the images for independent, it would be 60 %."""
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(300):
            table = rng.normal(scale=0.05, size=(30, 1)) + rng.normal(scale=0.05, size=(30, 10))
            told = aggregate({f"s{i}": list(row) for i, row in enumerate(table)}, resamples=1000)
            assert told.ci95 is not None
            covered += told.ci95[0] <= 0 <= told.ci95[1]
        assert 0.90 <= covered / 300 <= 0.98

    @pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [float("nan")]}, {"a": [1e400]}])
    def test_nothing_and_what_is_not_finite_are_refused(
        self, values: dict[str, list[float]]
    ) -> None:
        with pytest.raises(ValueError):
            aggregate(values)


class TestPaired:
    @few
    @given(sides)
    def test_a_run_does_not_differ_from_itself(self, both: dict[Key, tuple[float, float]]) -> None:
        a, _ = split(both)
        told = paired(a, dict(reversed(a.items())))
        assert (told.difference, told.p, told.separable) == (0, 1, False)

    @few
    @given(sides)
    def test_swapping_the_sides_turns_the_sign(self, both: dict[Key, tuple[float, float]]) -> None:
        a, b = split(both)
        forth, back = paired(a, b), paired(b, a)
        assert back.difference == -forth.difference
        assert back.p == pytest.approx(forth.p)
        if forth.ci95:
            assert back.ci95 == pytest.approx((-forth.ci95[1], -forth.ci95[0]), abs=1e-9)

    def test_what_both_sides_share_cancels(self) -> None:
        rng = np.random.default_rng(0)
        common = rng.normal(scale=10, size=(10, 1))
        a, b = rng.normal(size=(2, 10, 4))
        apart, together = paired(grid(a), grid(b)), paired(grid(a + common), grid(b + common))
        assert together.difference == pytest.approx(apart.difference)
        assert together.ci95 == pytest.approx(apart.ci95)
        assert together.p == apart.p

    def test_p_enumerates_every_sign_pattern_up_to_fourteen_subjects(self) -> None:
        table = np.random.default_rng(5).normal(loc=0.4, size=(9, 3))
        means = table.mean(axis=1)
        flipped = [abs(np.mean(means * signs)) for signs in product((1, -1), repeat=9)]
        expected = np.mean([value >= abs(means.mean()) - 1e-12 for value in flipped])
        assert paired(grid(table), grid(np.zeros((9, 3)))).p == pytest.approx(expected)

    def test_p_is_near_the_t_test_where_that_holds(self) -> None:
        table = np.random.default_rng(7).normal(loc=0.03, scale=0.1, size=(40, 5))
        expected = reference.ttest_1samp(table.mean(axis=1), 0).pvalue
        assert paired(grid(table), grid(np.zeros((40, 5)))).p == pytest.approx(expected, abs=0.02)

    def test_a_drawn_p_is_never_zero(self) -> None:
        told = paired(grid(np.ones((30, 2))), grid(np.zeros((30, 2))))
        assert 0 < told.p < 0.001

    def test_false_alarms_are_as_rare_as_the_level_says(self) -> None:
        rng = np.random.default_rng(2)
        zeros = grid(np.zeros((8, 3)))
        alarms = sum(
            paired(grid(rng.normal(size=(8, 1)) + rng.normal(size=(8, 3))), zeros, 10).p < 0.05
            for _ in range(200)
        )
        assert alarms / 200 < 0.09

    def test_one_subject_settles_nothing(self) -> None:
        told = paired(grid(np.ones((1, 5))), grid(np.zeros((1, 5))))
        assert (told.ci95, told.p, told.separable) == (None, 1, False)

    def test_different_questions_are_refused(self) -> None:
        with pytest.raises(ValueError, match="different questions"):
            paired({("a", 0, 0): 1.0}, {("a", 0, 1): 1.0})


def crossed(table: Floats) -> dict[tuple[str, str], list[float]]:
    """(subjects, prompts, images) to what each pair of the former came to."""
    return {
        (f"s{s:02}", f"p{p:02}"): list(table[s, p])
        for s in range(table.shape[0])
        for p in range(table.shape[1])
    }


class TestTwoWay:
    def test_without_differences_between_prompts_it_is_the_interval_over_subjects(self) -> None:
        table = np.repeat(np.random.default_rng(0).normal(size=(20, 1, 1)), 6, axis=1)
        expected = aggregate({f"s{i:02}": list(row.ravel()) for i, row in enumerate(table)}).ci95
        assert two_way(crossed(table)) == pytest.approx(expected, abs=0.02)

    def test_what_differs_between_prompts_widens_it(self) -> None:
        rng = np.random.default_rng(0)
        table = rng.normal(size=(20, 1, 1)) + 3 * rng.normal(size=(1, 6, 1))
        low, high = two_way(crossed(table)) or (0.0, 0.0)
        assert high - low > 3 * np.std(table.mean(axis=0)) / np.sqrt(6)

    @few
    @given(st.integers(2, 6), st.integers(2, 5), st.integers(0, 9))
    def test_subjects_and_prompts_may_change_places(
        self, subjects: int, prompts: int, seed: int
    ) -> None:
        table = np.random.default_rng(seed).normal(size=(subjects, prompts, 2))
        forth, back = two_way(crossed(table)), two_way(crossed(table.transpose(1, 0, 2)))
        spread = float(np.ptp(table))
        assert forth and back and back == pytest.approx(forth, abs=0.05 * spread)

    @few
    @given(st.integers(0, 9), st.randoms())
    def test_the_order_of_rows_changes_nothing(self, seed: int, random: Random) -> None:
        cells = crossed(np.random.default_rng(seed).normal(size=(4, 3, 2)))
        mixed = {key: cells[key][::-1] for key in random.sample(sorted(cells), len(cells))}
        assert two_way(mixed) == two_way(cells)

    def test_cells_that_nobody_was_asked_stay_empty(self) -> None:
        """As where some subjects have prompts that others have not."""
        table = np.full((4, 3, 1), 2.0)
        cells = {key: told for key, told in crossed(table).items() if key != ("s00", "p00")}
        assert two_way(cells) == (2.0, 2.0)

    @pytest.mark.parametrize("shape", [(1, 5, 3), (5, 1, 3)])
    def test_one_subject_or_one_prompt_bounds_nothing(self, shape: tuple[int, int, int]) -> None:
        assert two_way(crossed(np.ones(shape))) is None

    def test_prompts_of_a_single_subject_are_drawn_with_it_alone(self) -> None:
        assert two_way({(f"s{n}", f"p{n}{m}"): [0.0] for n in range(6) for m in range(4)}) is None

    def test_it_covers_the_truth_where_prompts_are_a_sample_and_subjects_alone_do_not(self) -> None:
        """24 subjects, 6 prompts that differ more than the subjects do."""
        rng = np.random.default_rng(0)
        both = subjects = 0
        for _ in range(100):
            table = rng.normal(size=(24, 1, 1)) + rng.normal(size=(1, 6, 1))
            table = table + rng.normal(size=(24, 6, 1))
            low, high = two_way(crossed(table), resamples=300) or (1.0, 1.0)
            both += low <= 0 <= high
            told = aggregate({f"s{i}": list(row.ravel()) for i, row in enumerate(table)}, 300)
            subjects += not told.ci95 or told.ci95[0] <= 0 <= told.ci95[1]
        assert both / 100 > 0.85
        assert subjects / 100 < 0.75


class TestWilcoxon:
    def test_is_that_of_the_subjects_means_and_not_of_the_images(self) -> None:
        table = np.random.default_rng(0).normal(loc=0.3, size=(20, 5))
        expected = reference.wilcoxon(table.mean(axis=1)).pvalue
        assert wilcoxon({f"s{i:02}": list(row) for i, row in enumerate(table)}) == expected

    def test_subjects_without_a_difference_are_ranked_and_speak_for_neither_side(self) -> None:
        values = [0.0] * 4 + [float(n) for n in (3, 5, -1, 4, 6, 2, -7, 8, 9, 10, -11, 12)]
        expected = reference.wilcoxon(values, zero_method="pratt").pvalue
        assert expected != reference.wilcoxon(values).pvalue
        assert wilcoxon({f"s{i}": [value] for i, value in enumerate(values)}) == expected

    @pytest.mark.parametrize("told", [{"a": [1.0, 2.0]}, {"a": [0.0], "b": [0.0]}])
    def test_one_subject_or_no_difference_settles_nothing(
        self, told: dict[str, list[float]]
    ) -> None:
        assert wilcoxon(told) == 1


class TestHolm:
    def test_is_the_worked_example(self) -> None:
        """.01 x 4, .02 x 3, then .03 x 2 and .04 x 1, of which the last is not below its better."""
        assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])

    def test_a_single_comparison_stays_as_it_is(self) -> None:
        assert holm([0.03]) == [0.03]

    @few
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_lies_between_the_p_and_bonferronis_and_keeps_the_order(self, ps: list[float]) -> None:
        adjusted = holm(ps)
        bonferroni = [min(1.0, p * len(ps)) for p in ps]
        assert all(p <= a <= b for p, a, b in zip(ps, adjusted, bonferroni, strict=True))
        ordered = sorted(range(len(ps)), key=ps.__getitem__)
        assert sorted(adjusted) == [adjusted[index] for index in ordered]


class TestDetectable:
    def test_is_the_textbooks_multiple_of_the_standard_error(self) -> None:
        assert detectable(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
        assert detectable(0.5, freedom=9) == pytest.approx(0.5 * (2.262157 + 0.883404), abs=1e-5)

    def test_a_difference_as_large_is_found_about_80_times_in_100(self) -> None:
        rng = np.random.default_rng(1)
        size = detectable(1 / np.sqrt(30))
        draws = (size + rng.normal(size=(30, 1)) for _ in range(200))
        sides = (aggregate({f"s{i}": list(v) for i, v in enumerate(d)}, 300) for d in draws)
        found = sum(told.ci95 is not None and told.ci95[0] > 0 for told in sides)
        assert 0.7 < found / 200 < 0.9

    def test_of_equal_clusters_the_error_is_that_of_their_means(self) -> None:
        table = np.random.default_rng(2).normal(size=(40, 3))
        told = standard_error({f"s{i:02}": list(row) for i, row in enumerate(table)})
        assert told == pytest.approx(np.std(table.mean(axis=1)) / np.sqrt(40), rel=0.03)

    def test_one_subject_has_no_error_to_tell(self) -> None:
        assert standard_error({"a": [1.0, 2.0]}) is None
        assert jackknife_error([1.0]) is None


class TestJackknife:
    @few
    @given(values=st.lists(numbers, min_size=2, max_size=9))
    def test_of_a_mean_it_is_students_interval(self, values: list[float]) -> None:
        without = [(sum(values) - value) / (len(values) - 1) for value in values]
        low, high = jackknife(float(np.mean(values)), without) or (0.0, 0.0)
        if np.ptp(values) < 1e-3:
            return
        expected = reference.t.interval(
            0.95, len(values) - 1, loc=np.mean(values), scale=reference.sem(values)
        )
        assert (low, high) == pytest.approx(expected, rel=1e-6, abs=1e-6)

    def test_a_shift_of_all_that_is_left_out_is_bias_and_no_width(self) -> None:
        assert jackknife(1.0, [1.5, 1.7, 1.6]) == pytest.approx(jackknife(1.0, [9.5, 9.7, 9.6]))

    def test_one_subject_bounds_nothing(self) -> None:
        assert jackknife(1.0, [0.5]) is None

    def test_what_is_not_finite_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not finite"):
            jackknife(1.0, [0.5, float("nan")])


class TestHalves:
    def test_are_all_there_are_where_these_are_few(self) -> None:
        assert halves(4) == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
        assert halves(3) == [[0], [1], [2]]
        assert halves(1) == []

    def test_are_else_drawn_without_repeating_a_subject_and_always_the_same(self) -> None:
        drawn = halves(31)
        assert len(drawn) == HALVES and drawn == halves(31)
        assert all(half == sorted(set(half)) and len(half) == 15 for half in drawn)
        assert {subject for half in drawn for subject in half} == set(range(31))

    @few
    @given(values=st.lists(numbers, min_size=2, max_size=8))
    def test_all_of_them_give_students_interval_of_a_mean(self, values: list[float]) -> None:
        whole = float(np.mean(values))
        of_halves = [float(np.mean([values[i] for i in half])) for half in halves(len(values))]
        low, high = halved(whole, of_halves, len(values)) or (0.0, 0.0)
        reach = reference.sem(values) * reference.t.ppf(0.975, len(values) - 1)
        assert (low, high) == pytest.approx((whole - reach, whole + reach), rel=1e-6, abs=1e-6)

    def test_a_hundred_of_them_come_near_it(self) -> None:
        values = np.random.default_rng(3).normal(size=48)
        of_halves = [float(values[half].mean()) for half in halves(48)]
        low, high = halved(float(values.mean()), of_halves, 48) or (0.0, 0.0)
        reach = reference.sem(values) * reference.t.ppf(0.975, 47)
        assert (high - low) / 2 == pytest.approx(reach, rel=0.15)

    def test_one_subject_bounds_nothing(self) -> None:
        assert halved(1.0, [], 1) is None

    def test_what_is_not_finite_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not finite"):
            halved(1.0, [0.5, float("inf")], 2)


class TestPairedSets:
    def test_is_the_paired_t_test_where_the_number_is_a_mean(self) -> None:
        rng = np.random.default_rng(5)
        a, b = rng.normal(0.2, 1, 12), rng.normal(0, 1, 12)
        sides = [
            (float(x.mean()), {str(i): float(np.delete(x, i).mean()) for i in range(12)})
            for x in (a, b)
        ]
        told = paired_sets(sides[0], sides[1], n=120)
        expected = reference.ttest_rel(a, b)
        assert told.difference == pytest.approx((a - b).mean())
        assert told.p == pytest.approx(expected.pvalue)
        assert told.ci95 == pytest.approx(tuple(expected.confidence_interval()))
        assert (told.n, told.n_subjects) == (120, 12)

    def test_equal_sides_do_not_differ(self) -> None:
        side = (1.0, {"a": 0.9, "b": 1.2})
        told = paired_sets(side, side, n=4)
        assert (told.difference, told.p, told.ci95) == (0, 1, (0, 0))

    def test_other_subjects_are_refused(self) -> None:
        with pytest.raises(ValueError, match="different subjects"):
            paired_sets((1.0, {"a": 1.0}), (1.0, {"b": 1.0}), n=1)
