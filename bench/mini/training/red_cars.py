"""The mini form of the SFO paper's toy experiment: a text-to-image model is to draw red cars only.

An adapter is trained for one generic prompt, once on red cars alone and once on red cars over cars
of other colours; how many of the cars drawn then are red is read by a small classifier.
Source: SFO (arXiv 2506.03621), Appendix A.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api import Progress, silent
from bench.identity import seed_of
from bench.methods.backbones.backbone import OFF, Backbone, Condition
from bench.methods.backbones.mini import load
from bench.methods.comparative import Comparison, FlowMatching
from bench.methods.examples import Batch
from bench.methods.loop import Recipe, Training
from bench.methods.sampling import to_images, to_tensor
from bench.mini.grammar import sample_scene
from bench.mini.training.log import logger
from bench.mini.world import PALETTE, generator, render_scene, sample_identity, sample_pose
from bench.store import write_atomically

Mode = Literal["sft", "sfo"]
MODES: tuple[Mode, ...] = ("sft", "sfo")
PROMPT = "a photo of a car"
ADAPTER = "red"
STREAM = 6
"""Stream of these cars' scenes, apart from all others."""
SEED = 0
SHOWN, GAP = 12, 2


@dataclass(frozen=True)
class Settings:
    """The paper's numbers but for beta, the optimiser and the batch, which follow mini's scale."""

    cars: int = 500
    iterations: int = 800
    rank: int = 16
    batch: int = 4
    beta: float = 20.0
    lr: float = 1e-4
    samples: int = 100
    sampling_steps: int = 20
    every: int = 200
    classifier_cars: int = 3000
    classifier_steps: int = 400


@dataclass(frozen=True)
class Curve:
    """The share of red cars among the samples after so many steps, and the first of the samples.

    ``shown``: those of before and of after the training.
    """

    steps: tuple[int, ...]
    red: tuple[float, ...]
    shown: tuple[list[Image.Image], list[Image.Image]]


def cars(count: int, red: bool, split: Literal["train", "validation"] = "train") -> Tensor:
    """Cars in random scenes, (count, 3, 32, 32) in [0, 1]; all red, or all of other colours."""
    images: list[Image.Image] = []
    index = 0
    others = [name for name in PALETTE if name != "red"]
    while len(images) < count:
        rng = generator(SEED, STREAM, index, int(red))
        body = "red" if red else others[int(rng.random() * len(others))]
        car = replace(sample_identity(SEED, split, index), kind="car", body=PALETTE[body])
        scene = replace(sample_scene(rng), recolour=None)
        images.append(Image.fromarray(render_scene(car, scene, sample_pose(rng, scene))))
        index += 1
    return to_tensor(images, images[0].width)


class ColourClassifier(nn.Module):
    """(B, 3, 32, 32) to the log-odds of a red car, (B,)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 24), (24, 48), (48, 48)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, padding=1), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * 16, 1))

    def forward(self, images: Tensor) -> Tensor:
        odds: Tensor = self.layers(images * 2 - 1)
        return odds.squeeze(1)


def train_classifier(settings: Settings) -> tuple[ColourClassifier, float]:
    """A classifier of rendered cars, and its accuracy on cars that it has not seen."""
    torch.manual_seed(SEED)
    model = ColourClassifier()
    images, labels = _labelled(settings.classifier_cars // 2, "train")
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(settings.classifier_steps):
        chosen = torch.randint(
            len(images), (64,), generator=torch.Generator().manual_seed(seed_of("cars", step))
        )
        loss = F.binary_cross_entropy_with_logits(model(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    unseen, truth = _labelled(settings.classifier_cars // 10, "validation")
    with torch.no_grad():
        accuracy = ((model(unseen) > 0) == truth.bool()).float().mean()
    return model.eval(), float(accuracy)


def _labelled(count: int, split: Literal["train", "validation"]) -> tuple[Tensor, Tensor]:
    images = torch.cat([cars(count, True, split), cars(count, False, split)])
    return images, torch.cat([torch.ones(count), torch.zeros(count)])


def compare(out: Path, settings: Settings, progress: Progress = silent) -> dict[str, Any]:
    """Both trainings on the shipped backbone: the steps, and the share of red cars after each.

    Writes them, and a sheet of cars from before, after SFT and after SFO, to ``out``.
    """
    classifier, accuracy = train_classifier(settings)
    curves = {}
    for mode in MODES:
        log = logger(out / mode)
        curves[mode] = run(load(), mode, classifier, out, settings, log, progress)
    found = {"accuracy": accuracy, "steps": list(curves["sft"].steps)}
    found |= {mode: list(curve.red) for mode, curve in curves.items()}
    write_atomically(out / "red-cars.json", json.dumps(found, indent=2) + "\n")
    before, after = curves["sft"].shown
    _sheet([before, after, curves["sfo"].shown[1]]).save(out / "red-cars.png")
    return found


def run(
    backbone: Backbone,
    mode: Mode,
    classifier: ColourClassifier,
    folder: Path,
    settings: Settings = Settings(),
    log: Callable[[Mapping[str, Any]], None] = lambda event: None,
    progress: Progress = silent,
) -> Curve:
    """Train on red cars, over other cars or not, and count red ones on the way; resumable."""
    positives = _encoded(backbone, cars(settings.cars, red=True))
    negatives = _encoded(backbone, cars(settings.cars, red=False)) if mode == "sfo" else None
    objective = _objective(mode, settings)
    condition = Condition(backbone.encode_prompts([PROMPT]), None).repeated(settings.batch)
    backbone.add_adapter(ADAPTER, settings.rank, SEED, "image")
    drawn = _samples(backbone, settings)
    before = to_images(drawn[:SHOWN])
    counts = folder / mode / "counts.json"
    red = {0: _share_of_red(drawn, classifier), **_counted(counts)}

    def loss(index: int, draws: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
        chosen = torch.randint(settings.cars, (settings.batch,), generator=draws)
        other = negatives[chosen] if negatives is not None else None
        return objective(backbone, Batch(condition, positives[chosen], other), draws)

    for until in range(settings.every, settings.iterations + 1, settings.every):
        recipe = Recipe(steps=until, lr=settings.lr, clip=0.5)
        parameters = backbone.adapter_parameters(ADAPTER)
        Training(parameters, recipe, folder / mode, SEED).run(loss, log, progress, f"red {mode}")
        if until in red and until < settings.iterations:
            continue  # the weights of a training that went on are no longer those of this step
        drawn = _samples(backbone, settings)
        red[until] = _share_of_red(drawn, classifier)
        write_atomically(counts, json.dumps(red) + "\n")
        log({"event": "red cars", "mode": mode, "step": until, "red": red[until]})
    return Curve(tuple(red), tuple(red.values()), (before, to_images(drawn[:SHOWN])))


def _counted(file: Path) -> dict[int, float]:
    """What an earlier, unfinished, run has counted."""
    if not file.is_file():
        return {}
    return {int(step): share for step, share in json.loads(file.read_text("utf-8")).items()}


def _objective(mode: Mode, settings: Settings) -> FlowMatching | Comparison:
    if mode == "sft":
        return FlowMatching({ADAPTER: 1.0})
    return Comparison(OFF, {ADAPTER: 1.0}, settings.beta)


def _encoded(backbone: Backbone, images: Tensor) -> Tensor:
    draws = [torch.Generator().manual_seed(seed_of("car", i)) for i in range(len(images))]
    return backbone.encode_images(images, draws)


@torch.no_grad()
def _samples(backbone: Backbone, settings: Settings) -> Tensor:
    """Images (N, 3, H, W) in [0, 1], with the same seeds at every step."""
    condition = Condition(backbone.encode_prompts([PROMPT]), None).repeated(settings.samples)
    seeds = [seed_of("red", number) for number in range(settings.samples)]
    noise = backbone.noise([torch.Generator().manual_seed(seed) for seed in seeds])
    drawn = backbone.sample(condition, noise, {ADAPTER: 1.0}, settings.sampling_steps, 1.0)
    return backbone.decode(drawn)


@torch.no_grad()
def _share_of_red(images: Tensor, classifier: ColourClassifier) -> float:
    return float(np.mean((classifier(images) > 0).numpy()))


def _sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """The images side by side, a row each, twice their size."""
    side = 2 * rows[0][0].width
    sheet = Image.new("RGB", (len(rows[0]) * (side + GAP), len(rows) * (side + GAP)), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            large = image.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(large, (x * (side + GAP), y * (side + GAP)))
    return sheet
