"""How often do intervals of a difference in FID or KID cover the truth, where that is known?

Run by hand: ``python -m tests.benchmarks.sets`` (``--rounds``, ``--tiny``). Two methods answer the
same subjects. Features are drawn: what a subject looks like, which its photographs and both
methods' images share; what a method makes of it; and noise of the image. All sizes are assumed.
"""

import argparse
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.commands.output import say
from bench.metrics.fid import Fid
from bench.metrics.kid import Kid
from bench.metrics.sets import SetDistance
from bench.stats import Floats, jackknife
from tests.benchmarks.coverage import Interval, share

IMAGES, PHOTOGRAPHS = 6, 4
"""Of every subject, as in the mini world."""
METRICS: tuple[SetDistance, ...] = (Fid(), Kid())
ODDITY = 4
RESAMPLES = 60
ASKED = 1000
"""Draws that the truth for as many subjects is the mean of."""
MANY = 4000
"""Subjects, of one image each, that stand for all there are."""

Subjects = NDArray[np.int64]
Ends = dict[str, Interval]


@dataclass(frozen=True)
class Maker:
    """A method: how far all its images lie from photographs, what part of a subject it keeps, and
    the standard deviations of what it makes of a subject and of single images."""

    apart: float
    keeps: float
    own: float
    noise: float


@dataclass(frozen=True)
class World:
    """Two methods, so many subjects, and numbers of a feature.

    A part of the subjects is ``odd``: there a method's own is ``ODDITY`` times as large.
    """

    name: str
    a: Maker
    b: Maker
    subjects: int = 30
    width: int = 16
    odd: float = 0.0


GOOD, POOR = Maker(0.5, 0.8, 0.4, 0.6), Maker(0.9, 0.5, 0.4, 0.5)
NEAR = Maker(0.0, 1.0, 0.2, 0.5)
WORLDS = (
    World("equal methods", GOOD, GOOD),
    World("unequal methods", GOOD, POOR),
    World("10 subjects", GOOD, POOR, subjects=10),
    World("odd subjects", GOOD, POOR, odd=0.1),
    World("both like photographs", NEAR, NEAR),
    World("wider than photographs", GOOD, POOR, width=256),
)


@dataclass(frozen=True)
class Drawn:
    """(subjects, images of each, width) of both methods and of photographs."""

    a: Floats
    b: Floats
    real: Floats

    def difference(self, metric: SetDistance, subjects: Subjects) -> float:
        """A - B for these subjects; one that stands here twice brings its images twice."""
        a, b, real = (np.concatenate(side[subjects]) for side in (self.a, self.b, self.real))
        told: float = metric.score(a, real) - metric.score(b, real)
        return told


def draw(
    world: World, rng: np.random.Generator, images: int = IMAGES, photographs: int = PHOTOGRAPHS
) -> Drawn:
    """Ask both methods once. Directions weaken e-fold by every third of the width."""
    scale = np.exp(-3 * np.arange(world.width) / world.width)
    center = np.ones(world.width) * sqrt(float(np.square(scale).mean()))
    looks = rng.normal(size=(world.subjects, 1, world.width)) * scale

    def made(maker: Maker) -> Floats:
        own = rng.normal(size=looks.shape) * scale * maker.own
        if world.odd:
            own = np.where(rng.random((len(own), 1, 1)) < world.odd, ODDITY * own, own)
        noise = rng.normal(size=(world.subjects, images, world.width)) * scale * maker.noise
        told: Floats = center * (1 + maker.apart) + maker.keeps * looks + own + noise
        return told

    noise = rng.normal(size=(world.subjects, photographs, world.width)) * scale * 0.5
    return Drawn(made(world.a), made(world.b), center + looks + noise)


def intervals(
    drawn: Drawn, metric: SetDistance, resamples: int, rng: np.random.Generator
) -> tuple[float, Ends]:
    """A - B, and what each way of drawing subjects says of it."""
    count = len(drawn.real)
    whole = np.arange(count)
    told = drawn.difference(metric, whole)
    without = [drawn.difference(metric, np.delete(whole, one)) for one in whole]
    again = np.array(
        [drawn.difference(metric, rng.integers(0, count, count)) for _ in range(resamples)]
    )
    halves = np.array(
        [drawn.difference(metric, rng.permutation(count)[: count // 2]) for _ in range(resamples)]
    )
    # For a mean, half of the subjects vary about all of them as those do about everybody.
    scaled = told + (halves - halves.mean()) * sqrt((count // 2) / (count - count // 2))
    ends = jackknife(told, without)
    if ends is None:
        raise ValueError("a single subject bounds nothing")
    return told, {
        "jackknife": ends,
        "bootstrap, percentile": percentile(again),
        "bootstrap, t": student(told, again, count),
        "halves, percentile": percentile(scaled),
        "halves, t": student(told, scaled, count),
    }


def percentile(drawn: Floats) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def student(told: float, drawn: Floats, subjects: int) -> Interval:
    """By the standard deviation of what was drawn."""
    reach = float(stats.t.ppf(0.975, subjects - 1) * drawn.std(ddof=1))
    return told - reach, told + reach


def truths(world: World, metric: SetDistance, asked: int, many: int) -> tuple[float, float]:
    """The mean over other subjects of the same number, and the number for everybody."""
    rng = np.random.default_rng(1)
    whole = np.arange(world.subjects)
    here = [draw(world, rng).difference(metric, whole) for _ in range(asked)]
    everybody = draw(replace(world, subjects=many), rng, 1, 1)
    return float(np.mean(here)), everybody.difference(metric, np.arange(many))


def tell(metric: str, rounds: Sequence[tuple[float, Ends]], truth: tuple[float, float]) -> None:
    """Coverage of both truths, and mean widths by what 1.96 true standard errors would be."""
    numbers = np.array([told for told, _ in rounds])
    say(f"  {metric:<4} {truth[0]:+.4f} of so many subjects, {truth[1]:+.4f} of all")
    for way in rounds[0][1]:
        ends = [found[way] for _, found in rounds]
        covered = (share(covers(ends, number)) for number in truth)
        width = float(np.mean([high - low for low, high in ends])) / (3.92 * numbers.std(ddof=1))
        say("    {:<22} so many {}, all {}, width {:.2f}".format(way, *covered, width))


def covers(ends: Iterable[Interval], truth: float) -> list[bool]:
    return [low <= truth <= high for low, high in ends]


def main() -> None:
    """Every world, both metrics on the same draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--tiny", action="store_true", help="A few rounds of small worlds.")
    options = parser.parse_args()
    rounds, resamples, asked, many = options.rounds, RESAMPLES, ASKED, MANY
    worlds: Sequence[World] = WORLDS
    if options.tiny:
        rounds, resamples, asked, many = 4, 8, 4, 40
        worlds = [replace(world, subjects=6) for world in WORLDS[:2]]
    for world in worlds:
        start, rng = time.perf_counter(), np.random.default_rng(0)
        say(f"{world.name}: {world.subjects} subjects, {world.width} numbers, {rounds} rounds")
        found = [draw(world, rng) for _ in range(rounds)]
        for metric in METRICS:
            ends = [intervals(drawn, metric, resamples, rng) for drawn in found]
            tell(metric.name, ends, truths(world, metric, asked, many))
        say(f"  {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
