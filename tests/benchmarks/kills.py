"""What becomes of runs that are killed at random moments: ``python -m tests.benchmarks.kills``.

Of each of 50 kills: whom it hit, in which stage of the run's life, and whether the same command
then ended with the bytes of an undisturbed run.
"""

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.faults.clusters import Nodes, two_nodes
from tests.faults.kills import STAGES, Kill, Victim, moments
from tests.faults.lives import Life

KINDS: dict[Victim, int] = {"driver": 15, "worker": 15, "Ray worker": 10, "Ray node": 10}
ON_RAY: tuple[Victim, ...] = ("Ray worker", "Ray node")
Hit = tuple[str, str, str]
"""Victim, stage, and what became of the run."""


def main(arguments: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(arguments)
    console = Console()
    began = time.monotonic()
    hits = list(_hits(moments(Random(asked.seed), _kinds(asked.kills)), console))
    console.print(_table(hits))
    console.print(f"{len(hits)} kills in {(time.monotonic() - began) / 60:.0f} minutes")
    if any(became != "same bytes" for _, _, became in hits):
        sys.exit(1)


def _hits(kills: Sequence[Kill], console: Console) -> Iterator[Hit]:
    with TemporaryDirectory() as folder, _nodes(kills, Path(folder) / "cluster") as nodes:
        undisturbed = Life(_new(folder, "undisturbed"))
        undisturbed.finish()
        wanted = undisturbed.contents()
        for number, kill in enumerate(kills):
            place = _new(folder, str(number))
            on = nodes if kill.victim in ON_RAY else None
            life = on.life(place) if on else Life(place)
            stage, became = _outcome(kill, life, on, wanted)
            console.print(f"{number + 1}/{len(kills)} {kill}: hit {stage}, {became}")
            yield kill.victim, stage, became
            shutil.rmtree(place)


def _nodes(kills: Sequence[Kill], home: Path) -> AbstractContextManager[Nodes | None]:
    """A cluster where one is wanted."""
    return two_nodes(home) if any(kill.victim in ON_RAY for kill in kills) else nullcontext()


def _new(folder: str, name: str) -> Path:
    (place := Path(folder) / name).mkdir()
    return place


def _outcome(
    kill: Kill, life: Life, nodes: Nodes | None, wanted: dict[str, bytes]
) -> tuple[str, str]:
    try:
        hit = kill.carry_out(life, nodes).hit
    except (AssertionError, TimeoutExpired) as error:
        return kill.stage, f"did not end well: {str(error)[-600:]}"
    found = life.contents()
    differing = [name for name in wanted.keys() | found if wanted.get(name) != found.get(name)]
    return hit, f"other files: {sorted(differing)[:5]}" if differing else "same bytes"


def _table(hits: Sequence[Hit]) -> Table:
    """Kills by stage and victim, and how many runs ended as they should."""
    table = Table("stage hit", *KINDS, "same bytes")
    for stage in (*STAGES, "over"):
        here = [hit for hit in hits if hit[1] == stage]
        counted = Counter(victim for victim, _, _ in here)
        same = sum(became == "same bytes" for _, _, became in here)
        if here:
            table.add_row(stage, *(str(counted[kind]) for kind in KINDS), f"{same} of {len(here)}")
    return table


def _kinds(kills: int) -> dict[Victim, int]:
    """In the proportions of ``KINDS``, as near as may be."""
    whole = sum(KINDS.values())
    return {kind: round(many * kills / whole) for kind, many in KINDS.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=sum(KINDS.values()))
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    main()
