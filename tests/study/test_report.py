"""The tables of a study."""

import pytest

from bench.errors import UserError
from bench.study.analysis import Analysis, Share, Verdict
from bench.study.report import markdown


def analysis(a: str, b: str, *questions: str) -> Analysis:
    """Numbers of the paper's first row (SFO, Table 2)."""
    shares = [Share(share=share, ci95=(share - 0.05, share + 0.05)) for share in (0.712, 0.077)]
    win, tie = shares
    told = (
        Verdict(
            question="fidelity",
            title=title,
            win=win,
            tie=tie,
            lose=Share(share=0.211, ci95=None),
            p=1e-9,
            alpha=0.4321,
            answers=450,
            pairs=450,
            raters=150,
        )
        for title in questions or ("Subject Fidelity",)
    )
    return Analysis(
        methods=(a, b),
        suite="dreambench@1",
        protocol="headline@1",
        raters=150,
        excluded=3,
        unchecked=0,
        trials=600,
        answered=590,
        questions=tuple(told),
    )


def test_the_table_has_the_papers_form_with_a_row_for_every_method() -> None:
    page = markdown([analysis("sfo", "uno"), analysis("sfo", "kontext")])
    assert "| Method | Subject Fidelity (%): win | tie | lose |" in page
    assert "| uno | 71.2 | 7.7 | 21.1 |" in page
    assert "| kontext | 71.2 | 7.7 | 21.1 |" in page


def test_it_says_how_sure_that_is_and_who_was_left_out() -> None:
    page = markdown([analysis("sfo", "uno")])
    numbers = "66.2 to 76.2 | 2.7 to 12.7 | - | < 0.00001 | 0.43 | 450 | 450 | 150"
    assert f"| uno | Subject Fidelity | {numbers} |" in page
    assert "150 raters answered 590 of 600 trials; left out: 3;" in page
    assert "preferred noise" in page


def test_studies_of_other_methods_or_questions_stand_apart() -> None:
    for other in (analysis("dpo", "uno"), analysis("sfo", "uno", "Naturalness")):
        with pytest.raises(UserError, match="analyse the others apart"):
            markdown([analysis("sfo", "uno"), other])
