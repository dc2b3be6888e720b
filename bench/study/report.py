"""What studies say, as Markdown. Source of the first table's form: SFO, Table 2."""

from collections.abc import Iterator, Sequence

from bench.errors import UserError
from bench.markup import in_cell
from bench.study.analysis import Analysis, Share, Verdict


def markdown(studies: Sequence[Analysis]) -> str:
    """Two tables: A's wins, ties and losses against each B; and how sure and agreed they are.

    UserError where A or the questions are not the same in all of the studies.
    """
    if len({(study.methods[0], _titles(study)) for study in studies}) > 1:
        raise UserError(
            "Studies stand in one table where their first method and their questions are the "
            "same; analyse the others apart."
        )
    lines = [
        f"How often raters prefer {studies[0].methods[0]} to each method:",
        "",
        *_grid(_heads(studies[0]), (_cells(study) for study in studies)),
        "",
        "How sure that is: 95 % bootstrap over raters and pairs; p of a Wilcoxon signed-rank test "
        "on the pairs' mean votes; Krippendorff's alpha for ordered values:",
        "",
        *_grid(DETAILS, (cells for study in studies for cells in _details(study))),
        "",
        *(sentence for study in studies for sentence in (_counted(study),)),
        studies[0].rule,
    ]
    return "\n".join(lines) + "\n"


DETAILS = (
    "Method", "Question", "win", "tie", "lose", "p", "alpha", "answers", "pairs", "raters",
)  # fmt: skip


def _titles(study: Analysis) -> tuple[str, ...]:
    return tuple(told.title for told in study.questions)


def _heads(study: Analysis) -> list[str]:
    heads = [[f"{title} (%): win", "tie", "lose"] for title in _titles(study)]
    return ["Method", *(head for three in heads for head in three)]


def _cells(study: Analysis) -> list[str]:
    shares = [share for told in study.questions for share in (told.win, told.tie, told.lose)]
    return [study.methods[1], *(f"{100 * share.share:.1f}" for share in shares)]


def _details(study: Analysis) -> Iterator[list[str]]:
    for told in study.questions:
        ends = [_ends(share) for share in (told.win, told.tie, told.lose)]
        yield [study.methods[1], told.title, *ends, *_numbers(told)]


def _numbers(told: Verdict) -> list[str]:
    agreed = "-" if told.alpha is None else f"{told.alpha:.2f}"
    counts = (str(number) for number in (told.answers, told.pairs, told.raters))
    return ["< 0.00001" if told.p < 1e-5 else f"{told.p:.5f}", agreed, *counts]


def _ends(share: Share) -> str:
    if share.ci95 is None:
        return "-"
    return " to ".join(f"{100 * end:.1f}" for end in share.ci95)


def _counted(study: Analysis) -> str:
    a, b = study.methods
    return (
        f"{a} against {b} ({study.suite}, {study.protocol}): {study.raters} raters answered "
        f"{study.answered} of {study.trials} trials; left out: {study.excluded}; counted without "
        f"having answered a catch trial: {study.unchecked}."
    )


def _grid(heads: Sequence[str], lines: "Iterator[list[str]]") -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for cells in lines:
        yield f"| {' | '.join(map(in_cell, cells))} |"
