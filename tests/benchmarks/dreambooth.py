"""What a step of DreamBooth costs beside the passes through the network that it cannot do without.

By hand: ``python -m tests.benchmarks.dreambooth``. A subject of the mini world, as a user trains
it, against a bare forward and backward on the very batch of the step before. They take turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from bench.api import Workspace
from bench.methods.backbones.backbone import Condition, Text
from bench.methods.backbones.mini import load
from bench.methods.dreambooth import DreamBooth
from bench.methods.dreambooth_batches import shown
from bench.methods.objectives import squared_error
from bench.methods.sampling import to_tensor
from tests.benchmarks.scoring import say
from tests.benchmarks.turns import Taken, say_where
from tests.methods.tiny_subjects import MUG

AIM = 1.15
WARM = 3
"""Steps that are not counted."""


class Turns:
    """Progress that times every step, and bare passes after it."""

    def __init__(self, bare: Callable[[], object]) -> None:
        self.bare, self.step, self.passes = bare, Taken(), Taken()
        self.began: tuple[float, float] | None = None

    def __call__(self, title: str, done: int, total: int) -> None:
        if title != "train dreambooth":
            return
        if self.began and done > WARM:
            self.step.seconds.append(time.perf_counter() - self.began[0])
            self.step.busy.append(time.process_time() - self.began[1])
            self.passes(self.bare)
        self.began = time.perf_counter(), time.process_time()


def bare_passes(method: DreamBooth) -> Callable[[], Tensor]:
    """A forward and a backward of as many images as a step has, on tensors that are ready."""
    backbone, options = method.backbone, method.options
    count, generator = 2 * options.batch, torch.Generator().manual_seed(0)
    images = to_tensor(shown(MUG, "given") * count, backbone.spec.resolution)
    x = backbone.encode_images(images, [generator] * count)
    text = backbone.encode_prompts(["a photo of a sks mug", "a photo of a mug"])
    rows = [place // options.batch for place in range(count)]
    condition = Condition(Text(text.tokens[rows], text.pooled[rows]), None)
    t = torch.rand(count, generator=generator)

    def passes() -> Tensor:
        parameters = list(backbone.adapter_parameters(method.name).values())
        loss = squared_error(backbone.predict(x, t, condition, method.weights), x).mean()
        return torch.autograd.grad(loss, parameters)[0]

    return passes


def measure(steps: int, folder: Path) -> Turns:
    """Every step but the first ones, and the bare passes beside it."""
    given = {**DreamBooth.overrides["mini"], "iterations": steps + WARM, "steps": 2}
    method = DreamBooth(load(), DreamBooth.Options(**given))
    turns = Turns(bare_passes(method))
    workspace = Workspace(folder / "run", folder / "cache", lambda event: None, turns)
    method.train_subject(MUG, workspace)
    return turns


def main() -> None:
    """Print the ratio and what it is made of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="few steps")
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        turns = measure(3 if asked.tiny else asked.steps, Path(folder))
    say_where()
    for what, one, other in (
        ("time", turns.step.seconds, turns.passes.seconds),
        ("processor time", turns.step.busy, turns.passes.busy),
    ):
        step, bare = statistics.median(one), statistics.median(other)
        say(f"{what}: step", f"{1000 * step:.0f} ms, bare passes {1000 * bare:.0f} ms")
        say(f"{what}: ratio of medians", f"{step / bare:.3f} (aim: at most {AIM})")


if __name__ == "__main__":
    main()
