"""Which of the pairs are trained on: by how hard they are to tell apart, or by a label."""

from collections.abc import Sequence
from typing import Literal

from bench.errors import UserError
from bench.methods.similarity import Similarity

Difficulty = Literal["all", "low", "mid", "high"]
"""A tercile of pairs, by the similarity of positive and negative."""
TERCILES = ("low", "mid", "high")


def by_difficulty(measured: Sequence[Similarity], difficulty: Difficulty, count: int) -> list[int]:
    """The first ``count`` triplets of a tercile, in the order they were drawn.

    ``high`` are the pairs whose negative is most like the target. UserError when the tercile is
    smaller than ``count``.
    Source: SFO (arXiv 2506.03621), Table F; its thresholds are not stated.
    """
    rising = sorted(measured, key=lambda one: (one.to_target, one.index))
    place = TERCILES.index(difficulty)
    part = rising[place * len(rising) // 3 : (place + 1) * len(rising) // 3]
    if len(part) < count:
        raise UserError(
            f"A third of {len(measured)} pairs is fewer than negatives={count}; "
            f"give the option pool={3 * count} or more."
        )
    members = {one.index for one in part}
    return [one.index for one in measured if one.index in members][:count]


def winners(measured: Sequence[Similarity]) -> dict[int, tuple[int, int]]:
    """Triplet to its candidates most and least like the reference, as (winner, loser) draws.

    Triplets whose candidates are equally like it say nothing and are left out.
    Source: the DPO-DINO baseline of SFO (arXiv 2506.03621), Table 4.
    """
    candidates: dict[int, list[Similarity]] = {}
    for one in measured:
        candidates.setdefault(one.index, []).append(one)
    chosen = {}
    for index, drawn in candidates.items():
        best = max(drawn, key=lambda one: one.to_reference)
        worst = min(drawn, key=lambda one: one.to_reference)
        if best.to_reference > worst.to_reference:
            chosen[index] = (best.draw, worst.draw)
    return chosen
