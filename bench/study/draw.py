"""What is drawn by lot: cases of a study, pairs and sides of a rater, catch trials among them.

Everything follows from the study's seed and the rater's number.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.identity import seed_of
from bench.sitting import Place


class Shown(NamedTuple):
    """A pair as a rater sees it: ``swapped`` puts its second image on the left."""

    pair: int
    swapped: bool


def sample(places: Sequence[Place], count: int, seed: int) -> list[Place]:
    """Up to ``count`` places, of every subject and then of every prompt alike many, by lot."""
    left = sorted(places, key=lambda place: seed_of(seed, "case", *place))
    subjects: Counter[str] = Counter()
    prompts: Counter[int] = Counter()
    drawn: list[Place] = []
    while left and len(drawn) < count:
        place = min(left, key=lambda one: (subjects[one[0]], prompts[one[1]]))
        left.remove(place)
        subjects[place[0]] += 1
        prompts[place[1]] += 1
        drawn.append(place)
    return drawn


def trials(
    raters: Mapping[int, int], catches: Sequence[int], count: int, seed: int, number: int
) -> list[Shown]:
    """What rater ``number`` sees: ``count`` pairs that fewest have, and every catch trial.

    ``raters``: pair to how many have it already. Catch trials are spread: one in every part of
    the list, at a place of its own in each.
    """
    wanted = sorted(raters, key=lambda pair: (raters[pair], seed_of(seed, "pair", number, pair)))
    order = sorted(wanted[:count], key=lambda pair: seed_of(seed, "order", number, pair))
    mixed = sorted(catches, key=lambda pair: seed_of(seed, "catch", number, pair))
    for part, pair in reversed(list(enumerate(mixed))):
        start, stop = (len(order) * edge // len(mixed) for edge in (part, part + 1))
        order.insert(start + seed_of(seed, "place", number, part) % (stop - start + 1), pair)
    return [Shown(pair, bool(seed_of(seed, "side", number, pair) % 2)) for pair in order]
