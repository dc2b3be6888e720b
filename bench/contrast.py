"""What can be said of the differences between two runs: how large, how sure, and where."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import fsum
from typing import Literal

from pydantic import Field, FiniteFloat

from bench.api import Frozen
from bench.prompts import Prompts
from bench.stats import (
    Key,
    Paired,
    aggregate,
    by_subject,
    detectable,
    halved,
    holm,
    jackknife_error,
    paired,
    paired_sets,
    standard_error,
    two_way,
    wilcoxon,
)

TIE = 1e-6
"""Two numbers that lie no further apart are equal: scores come from 32-bit networks."""

Side = Literal["A", "B"]
Interval = tuple[FiniteFloat, FiniteFloat]


class Tally(Frozen):
    """How often A is better than B, neither is, or B is."""

    wins: int = Field(ge=0)
    ties: int = Field(ge=0)
    losses: int = Field(ge=0)


class Part(Frozen):
    """A - B on some of the cases: of one subject, one prompt, or one kind of prompts."""

    difference: FiniteFloat
    ci95: Interval | None
    """Over subjects; None for a single one."""
    ahead: Side | None
    """Which run is better by its whole interval."""
    cases: Tally
    n_subjects: int = Field(ge=1)
    n: int = Field(ge=1)


class Contrast(Paired):
    """A - B with all that stored rows say of it; None where a metric about sets cannot tell."""

    higher_is_better: bool
    ahead: Side | None
    """Which run is better by the whole of ``ci95``."""
    ci95_two_way: Interval | None
    """Subjects and prompts both drawn; None where prompts are their subjects' own."""
    ci95_halves: Interval | None = None
    """For a metric about sets: from halves of the subjects, where they were asked for."""
    p_holm: float = Field(ge=0, le=1)
    """``p`` among the comparisons with A that were made at once."""
    wilcoxon: float | None = Field(ge=0, le=1)
    """Two-sided signed-rank test on the subjects' mean differences."""
    wilcoxon_holm: float | None = Field(ge=0, le=1)
    detectable: FiniteFloat | None
    """The true difference that this design finds 80 times in 100; None for one subject."""
    cases: Tally | None
    subjects: Tally | None
    """By their mean differences."""
    by_kind: dict[str, Part]
    by_prompt: dict[str, Part]
    by_subject: dict[str, Part]


def contrast(
    a: Mapping[Key, float],
    b: Mapping[Key, float],
    prompts: Prompts,
    higher_is_better: bool,
    tie: float = TIE,
) -> Contrast:
    """A - B of a metric of images over the same (subject, prompt, seed).

    ``tie``: numbers, or subjects' means, that lie no further apart than this win for neither side.
    ValueError when the two do not answer the same questions.
    """
    told = paired(a, b)
    differences = {key: value - b[key] for key, value in a.items()}
    clusters = by_subject(differences)
    error = standard_error(clusters)
    better = 1.0 if higher_is_better else -1.0

    def parts(label: Callable[[Key], str | None]) -> dict[str, Part]:
        return _parts(differences, label, better, tie)

    return Contrast(
        **told.model_dump(),
        higher_is_better=higher_is_better,
        ahead=_ahead(told.ci95, better),
        ci95_two_way=two_way(_cells(differences, prompts)),
        p_holm=told.p,
        wilcoxon=(rank := wilcoxon(clusters)),
        wilcoxon_holm=rank,
        detectable=None if error is None else detectable(error),
        cases=_tally(differences.values(), better, tie),
        subjects=_tally((fsum(c) / len(c) for c in clusters.values()), better, tie),
        by_kind=parts(prompts.kind),
        by_prompt=parts(prompts.prompt),
        by_subject=parts(lambda key: key[0]),
    )


def contrast_sets(
    a: tuple[float, Mapping[str, float]],
    b: tuple[float, Mapping[str, float]],
    n: int,
    higher_is_better: bool,
    of_halves: Sequence[float] = (),
) -> Contrast:
    """A - B of a metric about sets, each with that number without every subject.

    ``n``: images of one side; ``of_halves``: A - B for ``bench.stats.halves``. What needs a number
    per case is left out, and so is a bootstrap: a subject that is drawn twice would bring copies of
    its images, which FID takes for less variety.
    ValueError when the two do not have the same subjects.
    """
    told = paired_sets(a, b, n)
    (_, without_a), (_, without_b) = a, b
    error = jackknife_error([without_a[subject] - without_b[subject] for subject in without_a])
    return Contrast(
        **told.model_dump(),
        higher_is_better=higher_is_better,
        ahead=_ahead(told.ci95, 1.0 if higher_is_better else -1.0),
        ci95_two_way=None,
        ci95_halves=halved(told.difference, of_halves, told.n_subjects) if of_halves else None,
        p_holm=told.p,
        wilcoxon=None,
        wilcoxon_holm=None,
        detectable=None if error is None else detectable(error, told.n_subjects - 1),
        cases=None,
        subjects=None,
        by_kind={},
        by_prompt={},
        by_subject={},
    )


def adjusted(family: Sequence[Contrast]) -> list[Contrast]:
    """Comparisons of one metric that were made at once, their p adjusted for each other (Holm)."""
    ps = holm([told.p for told in family])
    ranked = [told.wilcoxon for told in family if told.wilcoxon is not None]
    ranks = holm(ranked) if len(ranked) == len(family) else [None] * len(family)
    return [
        told.model_copy(update={"p_holm": p, "wilcoxon_holm": rank})
        for told, p, rank in zip(family, ps, ranks, strict=True)
    ]


def _parts(
    differences: Mapping[Key, float],
    label: Callable[[Key], str | None],
    better: float,
    tie: float,
) -> dict[str, Part]:
    groups: dict[str, dict[Key, float]] = {}
    for key, value in differences.items():
        if (name := label(key)) is not None:
            groups.setdefault(name, {})[key] = value
    return {name: _part(group, better, tie) for name, group in sorted(groups.items())}


def _part(differences: Mapping[Key, float], better: float, tie: float) -> Part:
    told = aggregate(by_subject(differences))
    return Part(
        difference=told.mean,
        ci95=told.ci95,
        ahead=_ahead(told.ci95, better),
        cases=_tally(differences.values(), better, tie),
        n_subjects=told.n_subjects,
        n=told.n,
    )


def _cells(
    differences: Mapping[Key, float], prompts: Prompts
) -> dict[tuple[str, str], list[float]]:
    cells: dict[tuple[str, str], list[float]] = {}
    for key, value in differences.items():
        cells.setdefault((key[0], prompts.prompt(key)), []).append(value)
    return cells


def _tally(differences: Iterable[float], better: float, tie: float) -> Tally:
    listed = [better * difference for difference in differences]
    wins, losses = sum(d > tie for d in listed), sum(d < -tie for d in listed)
    return Tally(wins=wins, ties=len(listed) - wins - losses, losses=losses)


def _ahead(interval: tuple[float, float] | None, better: float) -> Side | None:
    if interval is None:
        return None
    low, high = sorted(better * end for end in interval)
    if low <= 0 <= high:
        return None
    return "A" if low > 0 else "B"
