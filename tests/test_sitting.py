"""Who is held against which photographs."""

from pathlib import Path

import pytest

from bench.api import Case
from bench.errors import UserError
from bench.gallery import Gallery
from bench.protocols import MetricSpec, References, load_protocol
from bench.sitting import Answer, Sitting
from bench.suites import load_suite

SUITE = load_suite("mini@1")
PHOTOGRAPHS = Gallery(SUITE)("mug-000")


def case() -> Case:
    return Case(
        suite=SUITE.key,
        subject="mug-000",
        prompt_index=0,
        prompt="a mug",
        name="mug",
        reference="00.png",
        seed=0,
    )


def held_against(references: References, shown: str | None) -> list[str]:
    """File names of the photographs that the answer is held against."""
    drawn = [(case(), Path("any.png"), "0" * 64)]
    sitting = Sitting.of_files(drawn, Gallery(SUITE), load_protocol(SUITE), lambda case: shown)
    [answer] = sitting.answers
    spec = MetricSpec(metric="dino", encoder="mini-dino", references=references)
    held = sitting.held_against(spec, answer)
    return [file for file, picture in PHOTOGRAPHS.items() if picture in held]


@pytest.mark.parametrize(
    ("references", "shown", "files"),
    [
        ("all", None, ["00.png", "01.png", "02.png", "03.png"]),
        ("all", "02.png", ["00.png", "01.png", "03.png"]),
        ("input", "02.png", ["00.png"]),
        ("all-but-input", "02.png", ["01.png", "03.png"]),
    ],
)
def test_a_photograph_is_not_held_against_itself(
    references: References, shown: str | None, files: list[str]
) -> None:
    assert held_against(references, shown) == files


def test_a_photograph_that_alone_would_count_is_said() -> None:
    with pytest.raises(UserError, match="'dino' counts no photograph of mug-000 but the one that"):
        held_against("input", "00.png")


def test_files_are_drawn_unless_somebody_says_that_they_are_photographs() -> None:
    drawn = [(case(), Path("any.png"), "0" * 64)]
    [answer] = Sitting.of_files(drawn, Gallery(SUITE), load_protocol(SUITE)).answers
    assert isinstance(answer, Answer)
    assert answer.shown is None
