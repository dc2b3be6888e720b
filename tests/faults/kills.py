"""Kills of a run: of its driver, a worker or a node, at a random moment of a stage of its life."""

import os
import random
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from tests.faults.clusters import Nodes
from tests.faults.lives import TWO, Life

Victim = Literal["driver", "worker", "Ray worker", "Ray node"]
STAGES: Mapping[str, float] = {
    "imports": 6.0,
    "training": 2.0,
    "drawing": 0.2,
    "scoring": 1.0,
    "publishing": 0.002,
}
"""What a run goes through, and about how many seconds that takes on a slow machine."""


@dataclass(frozen=True)
class Outcome:
    """The stage in which a kill hit the run, and how often its command was given afterwards."""

    hit: str
    resumed: int


@dataclass(frozen=True)
class Kill:
    """Of whom, and when: so many seconds after a stage began."""

    victim: Victim
    stage: str
    after: float

    def __str__(self) -> str:
        return f"{self.victim}-{self.stage}-{self.after:.3f}"

    def carry_out(self, life: Life, nodes: Nodes | None = None) -> Outcome:
        """Begin the run, kill, and see it through with the same command; on Ray given ``nodes``."""
        process = life.begin(*(nodes.arguments if nodes else TWO))
        while self._comes_before(life.stage) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(self.after)
        while not (victims := self._victims(life, nodes, process.pid)) and process.poll() is None:
            time.sleep(0.001)
        hit = life.stage
        if self.victim == "Ray node" and nodes:
            nodes.replace()
        else:
            with suppress(ProcessLookupError, IndexError):
                os.kill(victims[0], signal.SIGKILL)
        done = life.end(process)
        if self.victim != "driver":
            assert done.returncode == 0, done.stderr
            return Outcome(hit, 0)
        if done.returncode:
            assert done.returncode == -signal.SIGKILL, done.stderr
            life.finish(*TWO)
        return Outcome(hit, int(done.returncode != 0))

    def _victims(self, life: Life, nodes: Nodes | None, driver: int) -> list[int]:
        """Processes to choose from; of a node that is lost, its worker is one."""
        if self.victim == "driver":
            return [driver]
        return nodes.workers() if nodes else life.workers()

    def _comes_before(self, stage: str) -> bool:
        order = (*STAGES, "over")
        return order.index(stage) < order.index(self.stage)


def moments(chance: random.Random, kinds: Mapping[Victim, int]) -> list[Kill]:
    """As many kills of each as wanted, spread evenly over the stages."""
    kills = []
    for victim, many in kinds.items():
        for number in range(many):
            stage = list(STAGES)[number % len(STAGES)]
            kills.append(Kill(victim, stage, chance.random() * STAGES[stage]))
    return kills
