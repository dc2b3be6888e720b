"""Trainings in one process and in two, started as ``accelerate launch --cpu`` starts them.

``python -m tests.methods.side_by_side FOLDER``: in a process of its own, since a fork may not
follow upon other work of torch.
"""

import json
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes

from bench.api import Workspace
from bench.methods.loop import Recipe, Training
from bench.methods.sfo import Sfo
from bench.paths import cache_in
from bench.plan import Request, make_plan
from bench.processes import processes
from bench.run import assist, execute
from tests.methods.tiny_trainings import given_adapter, tiny

Job = Callable[[Path], None]
RECIPE = Recipe(steps=7, optimiser="prodigy", lr=1.0, d0=1e-3, accumulate=3, save_every=2)


class Killed(Exception):
    """Stands for a kill in the middle of a step."""


class Parted(nn.Module):
    """``rare`` plays a part in every third micro-step only, ``idle`` in none."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.line, self.rare, self.idle = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)
        self.requires_grad_(False)

    def loss(self, index: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(2, 3, generator=generator)
        y = self.line(x) + (self.rare(x) if index % 3 == 2 else 0)
        return (y - x.sum()).square().mean(), {"index": float(index)}


def sfo(folder: Path) -> None:
    """SFO as a user trains it: pairs, then a loop, then a file."""
    log: list[Mapping[str, Any]] = []
    options = {"batch": 4, "beta": 100, "optimiser": "adamw", "lr": 1e-3}
    method = tiny(Sfo, given_adapter(folder.parent), **options)
    method.train(Workspace(folder, folder / "cache", log.append))
    if processes().first:
        (folder / "log.json").write_text(json.dumps(log))


def parted(folder: Path, kill_at: int = RECIPE.steps) -> None:
    """A training that is killed at a step, by default after the last one."""
    network = Parted()
    log: list[Mapping[str, Any]] = []

    def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if index // RECIPE.accumulate == kill_at:
            raise Killed
        return network.loss(index, generator)

    weights = Training(dict(network.named_parameters()), RECIPE, folder, seed=1).run(
        loss_of, log.append
    )
    torch.save(weights, folder / f"weights-{processes().rank}.pt")
    if processes().first:
        (folder / "log.json").write_text(json.dumps(log))


def killed_and_resumed(folder: Path) -> None:
    for kill_at in (3, 5, RECIPE.steps):
        try:
            parted(folder, kill_at)
        except Killed:
            continue


def benched(folder: Path) -> None:
    """`bench run`: the first process answers, the others have a share in the training."""
    options = {"iterations": "3", "batch": "4", "micro_batch": "1", "negatives": "4", "steps": "2"}
    request = Request(
        method="sfo", suite="mini", limit_subjects=1, seeds=1, options={**options, "beta": "100"}
    )
    with cache_in(folder / "cache"):  # or the second would find what the first has trained
        if processes().first:
            execute(make_plan(request), folder / "run")
        else:
            assist(make_plan(request), folder / "run")


def run(job: Job, folder: Path, count: int) -> None:
    """The job in ``count`` processes; any error of theirs ends this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder.mkdir()
    start_processes(_start, (job, folder, count, port), nprocs=count, start_method="fork")


def _start(rank: int, job: Job, folder: Path, count: int, port: str) -> None:
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in places.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": "true"}
    job(folder)


def main() -> None:
    root = Path(sys.argv[1])
    torch.set_num_threads(1)
    for count in (1, 2):
        run(sfo, root / f"sfo-{count}", count)
        run(parted, root / f"parted-{count}", count)
        run(benched, root / f"benched-{count}", count)
    run(killed_and_resumed, root / "resumed-2", 2)


if __name__ == "__main__":
    main()
