"""What a training step costs beside the passes through the network that it cannot do without.

By hand: ``python -m tests.benchmarks.training``. SFO on the mini backbone, as a user trains it,
against its two forwards and its backward on tensors that are ready. Step and bare passes take
turns, so that other work on the machine meets both alike.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench.api import Workspace
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.mini import load
from bench.methods.objectives import squared_error
from bench.methods.sfo import Sfo
from tests.benchmarks.scoring import say

AIM = 1.15
WARM = 3
"""Steps that are not counted."""


class Turns:
    """Progress that times every step, and bare passes after it."""

    def __init__(self, bare: Callable[[], None]) -> None:
        self.bare = bare
        self.steps: list[float] = []
        self.passes: list[float] = []
        self.began: float | None = None

    def __call__(self, title: str, done: int, total: int) -> None:
        if title != "train sfo":
            return
        now = time.perf_counter()
        if self.began:
            self.steps.append(now - self.began)
        self.bare()
        self.began = time.perf_counter()
        self.passes.append(self.began - now)


def bare_passes(method: Sfo, pairs: int) -> Callable[[], None]:
    """The reference's and the policy's forward, and the backward, of a batch of pairs."""
    backbone, generator = method.backbone, torch.Generator().manual_seed(0)
    images = torch.rand(2 * pairs, 3, *[backbone.spec.resolution] * 2, generator=generator)
    generators = [generator] * len(images)
    x = backbone.encode_images(images, generators)
    text = backbone.encode_prompts(["a red mug on the beach"] * len(images))
    condition = Condition(text, backbone.encode_references(images, generators))
    t = torch.rand(len(x), generator=generator)

    def passes() -> None:
        parameters = list(backbone.adapter_parameters(method.name).values())
        with torch.no_grad():
            backbone.predict(x, t, condition, method.base.weights)
        loss = squared_error(backbone.predict(x, t, condition, method.weights), x).mean()
        torch.autograd.grad(loss, parameters, allow_unused=True)

    return passes


def measure(steps: int, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of every step but the first ones, and of the bare passes beside it."""
    options = {"iterations": steps + WARM, "negatives": 4 * steps // 2, "steps": 2}
    method = Sfo(load(), Sfo.Options(**{**Sfo.overrides["mini"], **options}))
    turns = Turns(bare_passes(method, method.options.batch))
    method.train(Workspace(folder / "run", folder / "cache", lambda event: None, turns))
    return turns.steps[WARM - 1 :], turns.passes[WARM:]


def main() -> None:
    """Print the ratio and what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        steps, passes = measure(asked.steps, Path(folder))
    step, bare = statistics.median(steps), statistics.median(passes)
    ratios = sorted(one / other for one, other in zip(steps, passes, strict=True))
    say("load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    say("threads", str(torch.get_num_threads()))
    say("SFO step, 4 pairs", f"median {1000 * step:.0f} ms, least {1000 * min(steps):.0f} ms")
    say("bare passes", f"median {1000 * bare:.0f} ms, least {1000 * min(passes):.0f} ms")
    say("ratio of medians", f"{step / bare:.3f} (aim: at most {AIM})")
    say("ratio of the least", f"{min(steps) / min(passes):.3f}")
    say("median of ratios", f"{statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
