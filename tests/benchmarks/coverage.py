"""How often do the intervals cover the truth, in worlds where the truth is known?

Run by hand: ``python -m tests.benchmarks.coverage`` (``--rounds``, ``--tiny``). A suite's own
subjects and prompts are asked; what they come to is drawn: an effect of the subject, of the
prompt, of both together, and noise of the image. The sizes of these effects are assumed.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bench.commands.output import say
from bench.stats import Floats, aggregate, detectable, standard_error, two_way
from bench.suites import load_suite, prompts_for

Interval = tuple[float, float]
RESAMPLES = 1000


@dataclass(frozen=True)
class World:
    """Standard deviations of subjects, prompts, both together and images."""

    name: str
    subject: float
    prompt: float
    both: float
    image: float


WORLDS = (
    World("scores like DINO's", 0.09, 0.03, 0.05, 0.06),
    World("paired differences", 0.02, 0.01, 0.02, 0.04),
)
DESIGNS = (("dreambench@1", 4), ("mini@1", 1))
"""Suites with images per prompt."""


@dataclass(frozen=True)
class Design:
    """Which prompts every subject is asked, (subjects, prompts of each), and how often."""

    subjects: int
    asked: list[list[int]]
    seeds: int

    @classmethod
    def of(cls, key: str, seeds: int) -> "Design":
        suite = load_suite(key)
        numbers: dict[str, int] = {}
        asked = [
            [numbers.setdefault(prompt, len(numbers)) for prompt in prompts_for(suite, subject)]
            for subject in suite.subjects
        ]
        return cls(len(asked), asked, seeds)


@dataclass(frozen=True)
class Found:
    """One round: what each way of drawing says, and what lies in truth behind these prompts."""

    images: Interval
    subjects: Interval
    both: Interval
    detects: float
    these_prompts: float


def draw(world: World, design: Design, rng: np.random.Generator) -> Found:
    """Ask once. The truth over all prompts that there might be is 0."""
    prompts = np.array(design.asked)
    effects = rng.normal(0, world.prompt, prompts.max() + 1)[prompts]
    cells = rng.normal(0, world.subject, (design.subjects, 1)) + effects
    cells = cells + rng.normal(0, world.both, prompts.shape)
    values = cells[..., None] + rng.normal(0, world.image, (*prompts.shape, design.seeds))
    by_subject = {f"{s:03}": values[s].ravel().tolist() for s in range(design.subjects)}
    by_both = {
        (f"{s:03}", f"{prompt:03}"): values[s, p].tolist()
        for s, row in enumerate(design.asked)
        for p, prompt in enumerate(row)
    }
    subjects, both = aggregate(by_subject, RESAMPLES).ci95, two_way(by_both, RESAMPLES)
    error = standard_error(by_subject, RESAMPLES)
    if subjects is None or both is None or error is None:
        raise ValueError("the suite has too few subjects or prompts")
    return Found(over_images(values), subjects, both, detectable(error), float(effects.mean()))


def over_images(values: Floats) -> Interval:
    """Images taken for independent, which a bootstrap over hundreds of them comes to."""
    mean, reach = float(values.mean()), 1.96 * float(values.std()) / sqrt(values.size)
    return mean - reach, mean + reach


def share(hits: Sequence[bool]) -> str:
    """Per cent, with the standard error that so many rounds leave."""
    part = sum(hits) / len(hits)
    return f"{100 * part:.1f} ± {100 * sqrt(part * (1 - part) / len(hits)):.1f}"


def tell(rounds: Sequence[Found]) -> None:
    """Coverage of both truths by each interval, mean widths, and the power that was promised."""
    for way in ("images", "subjects", "both"):
        ends: list[Interval] = [getattr(found, way) for found in rounds]
        pairs = list(zip(ends, rounds, strict=True))
        fixed = share([low <= found.these_prompts <= high for (low, high), found in pairs])
        drawn = share([low <= 0 <= high for low, high in ends])
        width = sum(high - low for low, high in ends) / len(ends)
        say(f"  over {way:<10} these prompts {fixed}, any prompts {drawn}, width {width:.4f}")
    size = sum(found.detects for found in rounds) / len(rounds)
    hits = [found.subjects[0] - found.these_prompts + size > 0 for found in rounds]
    say(f"  finds {size:.4f}   {share(hits)}")


def main() -> None:
    """Every world in every design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--tiny", action="store_true", help="A few rounds of one design.")
    options = parser.parse_args()
    rounds = 4 if options.tiny else options.rounds
    for key, seeds in DESIGNS[1:] if options.tiny else DESIGNS:
        design = Design.of(key, seeds)
        for world in WORLDS:
            rng = np.random.default_rng(0)
            say(f"{key}, {seeds} per prompt, {world.name}, {rounds} rounds")
            tell([draw(world, design, rng) for _ in range(rounds)])


if __name__ == "__main__":
    main()
