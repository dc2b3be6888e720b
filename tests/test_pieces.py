"""Pieces of work cover a plan's cases, each once, in whole groups, whoever does them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Case, Scope
from bench.pieces import AT_ONCE, Piece, drawing_spans, subject_spans
from tests.trivial import job

SUBJECTS = st.lists(st.integers(1, 40), max_size=12)
"""How many cases each of some subjects has."""
SCOPES = st.sampled_from(("none", "subject", "corpus"))
BATCHES = st.integers(1, 100)


def cases(counts: list[int]) -> list[Case]:
    """In the order of plans: by subject."""
    return [
        Case(
            suite="made-up@1",
            subject=f"subject-{number}",
            prompt_index=index,
            prompt="",
            name="",
            reference="",
            seed=0,
        )
        for number, count in enumerate(counts)
        for index in range(count)
    ]


@given(SUBJECTS, SCOPES, BATCHES)
def test_every_case_is_in_one_piece_of_drawing(counts: list[int], scope: Scope, batch: int) -> None:
    asked = cases(counts)
    spans = drawing_spans(asked, scope, batch)
    assert [k for span in spans for k in range(span.start, span.stop)] == list(range(len(asked)))
    assert len({span.name for span in spans}) == len(spans)


@given(SUBJECTS, BATCHES)
def test_a_piece_of_drawing_is_a_few_whole_groups(counts: list[int], batch: int) -> None:
    spans = drawing_spans(cases(counts), "none", batch)
    assert all(span.start % batch == 0 for span in spans)
    assert all(one.stop - one.start == other.start - one.start for one, other in pairwise(spans))
    assert all(span.stop - span.start <= max(AT_ONCE, batch) for span in spans)


@given(SUBJECTS, BATCHES)
def test_who_trains_per_subject_draws_a_subject_at_a_time(counts: list[int], batch: int) -> None:
    asked = cases(counts)
    spans = drawing_spans(asked, "subject", batch)
    assert spans == subject_spans(asked)
    assert [span.stop - span.start for span in spans] == counts
    for span in spans:
        assert {case.subject for case in asked[span.start : span.stop]} == {span.name}


def test_pieces_are_told_apart_by_job_kind_and_name() -> None:
    pieces = [
        Piece(kind, number, {}, name=name)
        for kind in ("draw", "look")
        for number in (0, 1)
        for name in ("mug", "cup")
    ]
    assert len({piece.key for piece in pieces}) == 8


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (Piece("train", 0, {}), "The training of 'noise'"),
        (Piece("draw", 0, {}, name="mug"), "Drawing for 'noise' (mug)"),
    ],
)
def test_a_piece_is_told_in_words(piece: Piece, words: str) -> None:
    assert piece.told([job()]) == words
