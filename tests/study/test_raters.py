"""What a rater may say."""

from pathlib import Path

import pytest

from bench.study.asked import Choice
from bench.study.database import opened
from bench.study.raters import NotAsked, add_raters, answer, consent, tokens, view
from tests.study.studies import write_study


def test_who_must_choose_a_side_is_offered_no_tie_and_has_none_taken(tmp_path: Path) -> None:
    path = write_study(tmp_path, questions=("fidelity",), forced=True)
    with opened(path) as connection:
        (token,) = add_raters(connection, 1)
        consent(connection, token)
        trial = view(connection, token)
        assert trial["forced"]
        with pytest.raises(NotAsked):
            answer(connection, token, trial["trial"], {"fidelity": "equal"})
        side: Choice = "right"
        answer(connection, token, trial["trial"], {"fidelity": side})
        assert view(connection, token)["number"] == 2


def test_raters_are_added_to_those_who_are_there(study: Path) -> None:
    with opened(study) as connection:
        first, then = add_raters(connection, 2), add_raters(connection, 1)
        assert tokens(connection) == [*first, *then]
        assert len(set(tokens(connection))) == 3


def test_consent_is_noted_once(study: Path) -> None:
    with opened(study) as connection:
        (token,) = add_raters(connection, 1)
        noted = []
        for _ in range(2):
            consent(connection, token)
            noted += connection.execute("SELECT consented FROM rater").fetchone()
    assert noted[0] is not None
    assert noted[0] == noted[1]
