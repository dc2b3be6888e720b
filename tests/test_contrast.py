"""What is said of the differences between two runs."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contrast import Contrast, adjusted, contrast, contrast_sets
from bench.prompts import Prompts
from bench.stats import Floats, Key, halved, paired, paired_sets

PROMPTS = Prompts(
    {(f"s{s}", p): f"a {{}} {place}" for s in range(8) for p, place in enumerate(("here", "there"))}
    | {(f"s{s}", 2): "a red {}" for s in range(8)},
    {"a {} here": "scene", "a {} there": "scene", "a red {}": "attribute"},
)
sides = st.dictionaries(
    st.tuples(st.sampled_from(["s0", "s1", "s2"]), st.integers(0, 2), st.just(0)),
    st.tuples(*[st.floats(-9, 9).map(lambda value: round(value, 3))] * 2),
    min_size=1,
)


def cases(table: Floats) -> dict[Key, float]:
    """Subjects by prompts to a run's numbers, one seed."""
    return {(f"s{s}", p, 0): float(value) for (s, p), value in np.ndenumerate(table)}


def against_zero(table: Floats, higher_is_better: bool = True, tie: float = 0.0) -> Contrast:
    return contrast(cases(table), cases(np.zeros_like(table)), PROMPTS, higher_is_better, tie)


def noise(level: float, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(level, 0.1, size=(8, 3))


def test_difference_interval_and_p_are_those_that_claims_are_judged_by() -> None:
    told, expected = against_zero(noise(0.1)), paired(cases(noise(0.1)), cases(np.zeros((8, 3))))
    assert (told.difference, told.ci95, told.p) == (expected.difference, expected.ci95, expected.p)


def test_a_wins_where_it_is_better_which_may_be_less() -> None:
    table = np.array([[1.0, 1.0, -1.0], [-2.0, 0.0, 1.0]])
    more, less = against_zero(table), against_zero(table, higher_is_better=False)
    assert more.cases and less.cases and more.subjects
    assert (more.cases.wins, more.cases.ties, more.cases.losses) == (3, 1, 2)
    assert (less.cases.wins, less.cases.ties, less.cases.losses) == (2, 1, 3)
    assert (more.subjects.wins, more.subjects.ties, more.subjects.losses) == (1, 0, 1)


def test_what_is_no_further_apart_than_the_tie_is_a_tie() -> None:
    told = against_zero(np.array([[0.5, -0.5, 0.6]]), tie=0.5)
    assert told.cases and (told.cases.wins, told.cases.ties, told.cases.losses) == (1, 2, 0)


@pytest.mark.parametrize(
    ("level", "higher_is_better", "ahead"),
    [(1, True, "A"), (-1, True, "B"), (1, False, "B"), (-1, False, "A"), (0, True, None)],
)
def test_a_run_is_ahead_when_the_whole_interval_says_so(
    level: float, higher_is_better: bool, ahead: str | None
) -> None:
    assert against_zero(noise(level), higher_is_better).ahead == ahead


def test_kinds_prompts_and_subjects_are_each_told_apart() -> None:
    """A is better in scenes, and B by as much in the only attribute."""
    table = noise(0.0) + np.array([1.0, 1.0, -1.0])
    told = against_zero(table)
    assert {kind: part.ahead for kind, part in told.by_kind.items()} == {
        "scene": "A",
        "attribute": "B",
    }
    assert told.by_kind["scene"].difference == pytest.approx(table[:, :2].mean())
    assert told.by_prompt["a {} there"].difference == pytest.approx(table[:, 1].mean())
    assert told.by_subject["s3"].difference == pytest.approx(table[3].mean())
    assert told.by_subject["s3"].ci95 is None
    assert told.by_subject["s3"].cases.wins == 2


def test_prompts_that_differ_widen_the_interval_that_draws_them() -> None:
    told = against_zero(noise(0.3) + np.array([0.5, 0.0, -0.5]))
    assert told.ci95 and told.ci95_two_way
    assert told.ahead == "A" and told.ci95_two_way[0] < 0 < told.ci95_two_way[1]


@settings(max_examples=15, deadline=None)
@given(sides)
def test_every_case_is_counted_once_wherever_it_is_looked_at(
    both: dict[Key, tuple[float, float]],
) -> None:
    a, b = ({key: pair[side] for key, pair in both.items()} for side in (0, 1))
    told = contrast(a, b, PROMPTS, True)
    assert told.cases and told.cases.wins + told.cases.ties + told.cases.losses == len(both)
    for parts in (told.by_kind, told.by_prompt, told.by_subject):
        assert sum(part.n for part in parts.values()) == len(both)
        assert sum(part.cases.wins for part in parts.values()) == told.cases.wins
        total = sum(part.difference * part.n for part in parts.values())
        assert total / len(both) == pytest.approx(told.difference, abs=1e-9)


def test_one_subject_detects_and_settles_nothing() -> None:
    told = against_zero(np.ones((1, 3)))
    assert (told.ci95, told.ahead, told.detectable, told.p, told.wilcoxon) == (
        None,
        None,
        None,
        1,
        1,
    )


def test_p_is_adjusted_among_the_comparisons_made_at_once() -> None:
    family = [against_zero(noise(level, seed)) for level, seed in ((0.05, 1), (0.1, 2), (0.0, 3))]
    ordered = sorted(adjusted(family), key=lambda told: told.p)
    assert ordered[0].p_holm == pytest.approx(3 * ordered[0].p)
    assert ordered[2].p_holm >= ordered[1].p_holm >= ordered[1].p
    assert all((told.wilcoxon_holm or 0) >= (told.wilcoxon or 0) for told in ordered)
    assert adjusted(family[:1]) == family[:1]


def test_every_field_is_explained_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs/statistics.md").read_text()
    assert [name for name in Contrast.model_fields if f"`{name}`" not in page] == []


class TestSets:
    WHOLE_A = (3.0, {"a": 3.1, "b": 2.8, "c": 3.4, "d": 2.9})
    WHOLE_B = (5.0, {"a": 5.2, "b": 4.9, "c": 5.3, "d": 4.8})

    def test_the_interval_is_the_jackknifes_and_less_may_be_better(self) -> None:
        told = contrast_sets(self.WHOLE_A, self.WHOLE_B, 40, higher_is_better=False)
        expected = paired_sets(self.WHOLE_A, self.WHOLE_B, 40)
        assert (told.difference, told.ci95, told.p) == (-2.0, expected.ci95, expected.p)
        assert told.ahead == "A"

    def test_halves_of_the_subjects_give_a_second_interval_about_the_same_difference(self) -> None:
        sides = self.WHOLE_A, self.WHOLE_B
        plain = contrast_sets(*sides, 40, higher_is_better=False)
        told = contrast_sets(*sides, 40, False, of_halves=[-2.3, -1.7, -2.1, -2.2, -1.9, -1.8])
        assert plain.ci95_halves is None
        assert told.ci95_halves == halved(-2.0, [-2.3, -1.7, -2.1, -2.2, -1.9, -1.8], 4)
        assert (told.ci95, told.p, told.ahead) == (plain.ci95, plain.p, plain.ahead)

    def test_what_needs_a_number_per_case_is_left_out(self) -> None:
        told = contrast_sets(self.WHOLE_A, self.WHOLE_B, 40, higher_is_better=False)
        left_out = (told.wilcoxon, told.cases, told.subjects, told.ci95_two_way)
        assert left_out == (None, None, None, None)
        assert told.by_kind == told.by_prompt == told.by_subject == {}
        assert adjusted([told, told])[0].wilcoxon_holm is None

    def test_what_is_detected_follows_from_the_intervals_width(self) -> None:
        """Student's t with three degrees of freedom: .975 at 3.182, .8 at 0.978."""
        told = contrast_sets(self.WHOLE_A, self.WHOLE_B, 40, higher_is_better=False)
        assert told.ci95
        reach = (told.ci95[1] - told.ci95[0]) / 2
        assert told.detectable == pytest.approx(reach * (3.18245 + 0.97847) / 3.18245, rel=1e-4)
