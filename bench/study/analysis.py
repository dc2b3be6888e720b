"""What raters said: how often A wins, ties and loses, how sure that is, and how far they agree."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat
from scipy import stats

from bench.api import Frozen
from bench.documents import MALFORMED
from bench.errors import UserError
from bench.stats import RESAMPLES, SEED
from bench.study.agreement import alpha
from bench.study.asked import QUESTIONS
from bench.study.database import opened, settings_of

Floats = NDArray[np.float64]

RULE = (
    "Left out with all their answers: raters who preferred noise to an image in a catch trial, in "
    "any question."
)
VOTES = {"left": 1, "equal": 0, "right": -1}
"""For the image on the left."""
BATCH = 500
"""Resamples held in memory at once."""


class Share(Frozen):
    """A share of all answers, in 0..1, with its 95 % interval."""

    share: FiniteFloat
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    """Percentile bootstrap over raters and over pairs at once; None for fewer than two of either,
    which bound nothing. It errs on the wide side. Source: Owen 2007, The pigeonhole bootstrap."""


class Verdict(Frozen):
    """What raters said of A against B in answer to one question."""

    question: str
    title: str
    win: Share
    tie: Share
    lose: Share
    p: float = Field(ge=0, le=1)
    """Two-sided Wilcoxon signed-rank test on the pairs' mean votes, zeros ranked (Pratt)."""
    alpha: float | None
    """Krippendorff's, for ordered values; None where no pair has two answers, or all are alike."""
    answers: int = Field(ge=1)
    pairs: int = Field(ge=1)
    raters: int = Field(ge=1)


class Analysis(Frozen):
    """The outcome of a study; A and B are ``methods``."""

    methods: tuple[str, str]
    suite: str
    protocol: str
    raters: int
    """Who answered anything."""
    excluded: int
    unchecked: int
    """Who answered no catch trial, and counts."""
    trials: int
    """Given to raters, catch trials included."""
    answered: int
    rule: str = RULE
    questions: tuple[Verdict, ...]


@dataclass(frozen=True)
class Vote:
    """An answer: 1 for A, 0 for neither, -1 for B; in a catch trial, -1 for noise."""

    rater: str
    pair: int
    question: str
    vote: int
    noise: bool


def analyse(path: Path) -> Analysis:
    """What a study says so far. UserError where nobody has answered who counts."""
    with opened(path) as connection:
        settings = settings_of(connection)
        try:
            votes = _votes(connection)
        except MALFORMED as error:
            raise UserError(f"{path} is damaged: an answer is none; restore it.") from error
        trials = connection.execute("SELECT count(*) FROM trial").fetchone()[0]
        answered = connection.execute("SELECT count(DISTINCT trial) FROM answer").fetchone()[0]
    failed = {one.rater for one in votes if one.noise and one.vote < 0}
    counted = [one for one in votes if not one.noise and one.rater not in failed]
    if not counted:
        raise UserError(
            f"Nobody has answered in {path} whose answers count; send raters their links, which "
            f"'bench study tokens {path}' prints."
        )
    raters = {one.rater for one in votes}
    return Analysis(
        methods=settings.methods,
        suite=settings.suite,
        protocol=settings.protocol,
        raters=len(raters),
        excluded=len(failed),
        unchecked=len(raters - {one.rater for one in votes if one.noise}),
        trials=trials,
        answered=answered,
        questions=tuple(verdict(name, counted) for name in settings.questions),
    )


def verdict(question: str, votes: Iterable[Vote]) -> Verdict:
    """What votes say in answer to one question, of which there is at least one."""
    ballot = Ballot([one for one in votes if one.question == question])
    intervals = ballot.intervals()
    win, tie, lose = (
        Share(share=float(share), ci95=interval)
        for share, interval in zip(ballot.shares, intervals, strict=True)
    )
    return Verdict(
        question=question,
        title=QUESTIONS[question].title,
        win=win,
        tie=tie,
        lose=lose,
        p=wilcoxon(ballot.means),
        alpha=alpha(ballot.of_pairs[:, ::-1]),
        answers=len(ballot.votes),
        pairs=len(ballot.of_pairs),
        raters=len(ballot.counts),
    )


class Ballot:
    """Votes in answer to one question, counted."""

    def __init__(self, votes: Sequence[Vote]) -> None:
        self.votes = votes

    @cached_property
    def counts(self) -> Floats:
        """(raters, pairs, 3): wins, ties and losses of A, whatever order the votes came in."""
        raters = sorted({one.rater for one in self.votes})
        pairs = sorted({one.pair for one in self.votes})
        counts = np.zeros((len(raters), len(pairs), 3))
        for one in self.votes:
            counts[raters.index(one.rater), pairs.index(one.pair), 1 - one.vote] += 1
        return counts

    @property
    def of_pairs(self) -> Floats:
        """(pairs, 3)."""
        found: Floats = self.counts.sum(axis=0)
        return found

    @property
    def shares(self) -> Floats:
        """Of wins, ties and losses among all votes."""
        found: Floats = self.of_pairs.sum(axis=0) / len(self.votes)
        return found

    @property
    def means(self) -> Floats:
        """The mean vote on every pair, in -1..1."""
        found: Floats = self.of_pairs @ (1.0, 0.0, -1.0) / self.of_pairs.sum(axis=1)
        return found

    def intervals(self, resamples: int = RESAMPLES) -> list[tuple[float, float] | None]:
        """Of the shares; resamples without a vote say nothing and do not count."""
        raters, pairs, _ = self.counts.shape
        if min(raters, pairs) < 2:
            return [None] * 3
        rng, drawn = np.random.default_rng(SEED), []
        for start in range(0, resamples, BATCH):
            batch = min(BATCH, resamples - start)
            weights = rng.multinomial(raters, np.full(raters, 1 / raters), batch)
            of_pairs = np.tensordot(weights, self.counts, 1)
            again = rng.multinomial(pairs, np.full(pairs, 1 / pairs), batch)
            drawn.append(np.einsum("bp,bpk->bk", again, of_pairs))
        sums = np.concatenate(drawn)
        sums = sums[sums.sum(axis=1) > 0]
        ends = np.percentile(sums / sums.sum(axis=1, keepdims=True), (2.5, 97.5), axis=0)
        return [(float(low), float(high)) for low, high in ends.T]


def wilcoxon(means: Floats) -> float:
    """The p-value of mean votes, two-sided; 1 where all are zero, which says nothing."""
    if not np.any(means):
        return 1.0
    return float(stats.wilcoxon(means, zero_method="pratt").pvalue)


def _votes(connection: Connection) -> list[Vote]:
    rows = connection.execute(
        "SELECT coalesce(worker, token) AS rater, pair, question, choice, swapped, noise "
        "FROM answer JOIN trial ON trial.id = answer.trial JOIN rater ON rater.token = trial.rater "
        "JOIN pair ON pair.id = trial.pair ORDER BY rater.number, trial.position, question"
    )
    return [
        Vote(
            rater=row["rater"],
            pair=row["pair"],
            question=row["question"],
            vote=VOTES[row["choice"]] * (-1 if row["swapped"] else 1),
            noise=bool(row["noise"]),
        )
        for row in rows
    ]
