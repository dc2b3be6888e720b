"""What votes come to: shares, intervals, tests, and who counts."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from bench.errors import UserError
from bench.study.analysis import Ballot, Vote, analyse, verdict
from bench.study.asked import Choice
from bench.study.database import opened
from bench.study.raters import answer, consent, trials_of
from tests.study.studies import links


def votes(table: Sequence[Sequence[int]]) -> list[Vote]:
    """A row for each rater, a column for each pair."""
    return [
        Vote(f"rater {rater}", pair, "fidelity", vote, noise=False)
        for rater, row in enumerate(table)
        for pair, vote in enumerate(row)
    ]


def test_shares_are_of_all_answers() -> None:
    told = verdict("fidelity", votes([[1, 1, 0, -1], [1, 1, 1, -1]]))
    assert (told.win.share, told.tie.share, told.lose.share) == (0.625, 0.125, 0.25)
    assert (told.answers, told.pairs, told.raters) == (8, 4, 2)


def test_swapping_the_methods_swaps_wins_and_losses_alone() -> None:
    table = [[1, 1, 0, -1, 1], [1, 0, 1, -1, 1], [1, 1, -1, -1, 0]]
    there = verdict("fidelity", votes(table))
    back = verdict("fidelity", votes([[-vote for vote in row] for row in table]))
    assert (back.win, back.tie, back.lose) == (there.lose, there.tie, there.win)
    assert back.p == there.p
    assert back.alpha == pytest.approx(there.alpha)


def test_the_order_of_votes_changes_nothing() -> None:
    cast = votes([[1, 1, 0, -1, 1], [1, 0, 1, -1, 1], [1, 1, -1, -1, 0]])
    assert verdict("fidelity", Random(0).sample(cast, len(cast))) == verdict("fidelity", cast)


def test_an_interval_holds_its_share_and_narrows_with_more_pairs_and_raters() -> None:
    draw = Random(0).choices
    widths = []
    for raters, pairs in ((4, 5), (16, 40)):
        told = verdict("fidelity", votes([draw((1, 0, -1), k=pairs) for _ in range(raters)]))
        assert told.win.ci95 is not None
        low, high = told.win.ci95
        assert low <= told.win.share <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_raters_who_differ_widen_the_interval_although_pairs_agree() -> None:
    alike = Ballot(votes([[1, -1] * 10] * 4)).intervals(500)[0]
    apart = Ballot(votes([[1] * 20, [-1] * 20, [1] * 20, [-1] * 20])).intervals(500)[0]
    assert alike is not None
    assert apart is not None
    assert apart[1] - apart[0] > alike[1] - alike[0]


def test_one_rater_or_one_pair_bounds_nothing() -> None:
    assert verdict("fidelity", votes([[1, 0, -1]])).win.ci95 is None
    assert verdict("fidelity", votes([[1], [1]])).win.ci95 is None


def test_the_test_finds_one_sidedness_and_nothing_in_ties() -> None:
    assert verdict("fidelity", votes([[1] * 40])).p < 1e-5
    assert verdict("fidelity", votes([[1, -1] * 20])).p > 0.9
    assert verdict("fidelity", votes([[0] * 40])).p == 1


def test_questions_are_counted_apart() -> None:
    other = Vote("rater 0", 0, "alignment", -1, noise=False)
    assert verdict("alignment", [*votes([[1, 1]]), other]).lose.share == 1


def answered(path: Path, link: str, noise: bool) -> None:
    """A rater who always wants A, and in catch trials noise or an image."""
    token = link.split("/")[2]
    with opened(path) as connection:
        consent(connection, token)
        for trial in trials_of(connection, token):
            a_is_wanted = not (trial["noise"] and noise)
            side: Choice = "left" if a_is_wanted != bool(trial["swapped"]) else "right"
            answer(connection, token, trial["trial"], {"fidelity": side, "alignment": side})


def test_who_prefers_noise_is_left_out_with_all_answers(study: Path) -> None:
    for link, noise in zip(links(study, 3), (False, True, False), strict=True):
        answered(study, link, noise)
    told = analyse(study)
    assert (told.raters, told.excluded, told.unchecked) == (3, 1, 0)
    assert (told.trials, told.answered) == (12, 12)
    for one in told.questions:
        assert (one.answers, one.raters, one.win.share) == (6, 2, 1)


def test_a_study_without_answers_that_count_says_what_to_do(study: Path) -> None:
    (link,) = links(study, 1)
    with pytest.raises(UserError, match="send raters their links"):
        analyse(study)
    answered(study, link, noise=True)
    with pytest.raises(UserError, match="Nobody has answered"):
        analyse(study)
