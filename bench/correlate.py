"""How far a metric orders images as people do, and how far people agree among themselves."""

from collections.abc import Callable, Sequence
from math import fsum, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat
from scipy import stats

from bench.api import Frozen
from bench.errors import UserError
from bench.ratings import Key, Rating, Ratings, Values

Floats = NDArray[np.float64]

SEED = 0
RESAMPLES = 2000
FEWEST = 10
"""Images below which nothing is said."""
POOLED = "all"
ASPECTS: dict[str, Callable[[Rating], float]] = {"SC": lambda r: r.sc, "PQ": lambda r: r.pq}


class Bounded(Frozen):
    """A number with its 95 % interval: percentile bootstrap over samples."""

    value: FiniteFloat
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    """None for fewer than two samples, which bound nothing."""


class Agreement(Frozen):
    """A metric against the mean rating of the same images; None where one side is constant."""

    method: str
    """``all``: the images of all methods together."""
    aspect: str
    """SC, semantic consistency, or PQ, perceptual quality."""
    n: int
    """Images."""
    n_samples: int
    """Samples, over which the intervals are."""
    spearman: Bounded | None
    kendall: Bounded | None
    """Tau-b."""
    accuracy: Bounded | None
    """Share of pairs of images that the metric orders as people do; see ``agreement``."""
    people: tuple[FiniteFloat | None, ...]
    """Spearman of each rater with the mean of the others, on the same images."""
    ceiling: FiniteFloat | None
    """Mean of ``people``: what a metric may hope for."""


class Overall(Frozen):
    """A method's mean ratings in [0, 1]; O is the mean of sqrt(SC * PQ) over raters and samples."""

    method: str
    n: int
    sc: FiniteFloat
    pq: FiniteFloat
    o: FiniteFloat


def correlate(ratings: Ratings, values: Values, resamples: int = RESAMPLES) -> list[Agreement]:
    """A metric against SC and PQ: over all images first, then method by method.

    UserError when fewer than ``FEWEST`` images have a value; methods with fewer are left to the
    pooled row.
    """
    if len(values) < FEWEST:
        raise UserError(
            f"Only {len(values)} rated images have a value, which is too few to correlate; give "
            f"at least {FEWEST}."
        )
    pooled = sorted(values)
    scopes = {POOLED: pooled}
    for method in sorted({model for _, model in pooled}):
        scopes[method] = [key for key in pooled if key[1] == method]
    return [
        _agree(ratings, values, method, keys, aspect, resamples)
        for method, keys in scopes.items()
        if len(keys) >= FEWEST
        for aspect in ASPECTS
    ]


def overall(ratings: Ratings) -> list[Overall]:
    """Every method's SC, PQ and O, as ImagenHub's notebook of the ratings computes them."""
    methods: dict[str, list[Rating]] = {}
    for (_, method), raters in sorted(ratings.items()):
        methods.setdefault(method, []).extend(raters.values())
    return [
        Overall(
            method=method,
            n=len(given),
            sc=fsum(r.sc for r in given) / len(given),
            pq=fsum(r.pq for r in given) / len(given),
            o=fsum(sqrt(r.sc * r.pq) for r in given) / len(given),
        )
        for method, given in methods.items()
    ]


def agreement(human: Floats, metric: Floats, weights: Floats) -> Floats:
    """Spearman's rho, Kendall's tau-b and pairwise accuracy, (3, R); NaN where not defined.

    ``human``, ``metric``: (N,); ``weights``: (R, N), how often each image is in each resample.
    Accuracy is over all pairs that people do not tie, whatever their samples; a pair that the
    metric ties counts one half: Somers' D (1962) mapped to [0, 1], with the pairs that Deutsch et
    al. 2023 ("Ties Matter") call "no grouping". Copies of one image tie on both sides.
    """
    a, b = _order(human), _order(metric)
    ranks_a, ranks_b = weights @ a, weights @ b  # Twice the ranks, centred: Spearman needs no more.
    rho = _sum(weights, ranks_a * ranks_b) / np.sqrt(
        _sum(weights, ranks_a**2) * _sum(weights, ranks_b**2)
    )
    both = _sum(weights, weights @ (a * b))
    untied_a, untied_b = (_sum(weights, weights @ np.abs(order)) for order in (a, b))
    return np.stack([rho, both / np.sqrt(untied_a * untied_b), (1 + both / untied_a) / 2])


def one_out(ratings: Ratings, keys: Sequence[Key], aspect: str) -> tuple[float | None, ...]:
    """Spearman of each rater with the mean of the others; None where one side is constant.

    Images that a rater did not see, or nobody else did, do not count for that rater.
    """
    raters = sorted({rater for key in keys for rater in ratings[key]})
    return tuple(_rater(ratings, keys, aspect, rater) for rater in raters)


def _rater(ratings: Ratings, keys: Sequence[Key], aspect: str, rater: str) -> float | None:
    of = ASPECTS[aspect]
    seen = [ratings[key] for key in keys if rater in ratings[key] and len(ratings[key]) > 1]
    own = [of(image[rater]) for image in seen]
    others = [
        np.mean([of(given) for name, given in image.items() if name != rater]) for image in seen
    ]
    if len(set(own)) < 2 or len(set(others)) < 2:
        return None
    return float(stats.spearmanr(own, others).statistic)


def _agree(
    ratings: Ratings,
    values: Values,
    method: str,
    keys: Sequence[Key],
    aspect: str,
    resamples: int,
) -> Agreement:
    of = ASPECTS[aspect]
    human = np.array([np.mean([of(given) for given in ratings[key].values()]) for key in keys])
    metric = np.array([values[key] for key in keys])
    samples, sample = np.unique([uid for uid, _ in keys], return_inverse=True)
    whole = np.ones((1, len(keys)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = agreement(human, metric, whole)[:, 0]
        drawn = agreement(human, metric, _draws(len(samples), resamples)[:, sample])
    spearman, kendall, accuracy = (
        _bounded(float(value), numbers, len(samples))
        for value, numbers in zip(found, drawn, strict=True)
    )
    people = one_out(ratings, keys, aspect)
    told = [one for one in people if one is not None]
    return Agreement(
        method=method,
        aspect=aspect,
        n=len(keys),
        n_samples=len(samples),
        spearman=spearman,
        kendall=kendall,
        accuracy=accuracy,
        people=people,
        ceiling=fsum(told) / len(told) if told else None,
    )


def _draws(samples: int, resamples: int) -> Floats:
    """(resamples, samples): how often each sample is drawn, all images of one going together."""
    even = np.full(samples, 1 / samples)
    return np.random.default_rng(SEED).multinomial(samples, even, size=resamples).astype(float)


def _bounded(value: float, drawn: Floats, samples: int) -> Bounded | None:
    if not isfinite(value):
        return None
    defined = drawn[np.isfinite(drawn)]
    if samples < 2 or not len(defined):
        return Bounded(value=value, ci95=None)
    low, high = np.percentile(defined, (2.5, 97.5))
    return Bounded(value=value, ci95=(float(low), float(high)))


def _order(values: Floats) -> Floats:
    order: Floats = np.sign(values[None, :] - values[:, None])
    return order


def _sum(weights: Floats, values: Floats) -> Floats:
    total: Floats = (weights * values).sum(axis=1)
    return total
