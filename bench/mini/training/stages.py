"""`bench mini train`: the stages in order, each resumable, each leaving a weights file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor

from bench.api import Progress
from bench.errors import UserError, unknown
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import BASE, SFT, MiniNetworks, assemble
from bench.methods.loop import Training
from bench.mini.training import base, judges, reader, sft
from bench.mini.training.data import cached_corpus
from bench.mini.training.log import logger
from bench.store import write_atomically

SEED = 0
Stage = Callable[[Path, int | None, Path, Progress], Path]


def train_stages(
    stage: str, out: Path, steps: int | None, weights: Path, progress: Progress
) -> Iterator[Path]:
    """Train one stage or all; yields each weights file. UserError for unknown stages."""
    if stage not in (*STAGES, "all"):
        raise unknown("stage", stage, (*STAGES, "all"))
    for name in STAGES if stage == "all" else [stage]:
        yield STAGES[name](out, steps, weights, progress)


def save_half(tensors: dict[str, Tensor], path: Path) -> Path:
    """Write tensors in half precision."""
    write_atomically(path, save({name: value.half() for name, value in tensors.items()}))
    return path


def _base(out: Path, steps: int | None, weights: Path, progress: Progress) -> Path:
    networks = base.fresh(SEED)
    easy = cached_corpus(out / "cache", SEED, "train", 4000, 2, difficulty=0.0)
    world = cached_corpus(out / "cache", SEED, "train", 12000, 4)
    recipe = replace(base.RECIPE, steps=steps or base.RECIPE.steps)
    training = Training(dict(networks.named_parameters()), recipe, out / "base", SEED)
    averaged = training.run(
        lambda step, generator: base.loss_of(
            networks, easy if step < base.EASY_STEPS else world, generator
        ),
        logger(out / "base"),
        progress,
        "base",
    )
    return save_half(averaged, weights / f"{BASE}.safetensors")


def _sft(out: Path, steps: int | None, weights: Path, progress: Progress) -> Path:
    backbone = trained_base(weights)
    world = cached_corpus(out / "cache", SEED, "train", 12000, 4)
    parameters = sft.start(backbone, SEED)
    recipe = replace(sft.RECIPE, steps=steps or sft.RECIPE.steps)
    training = Training(parameters, recipe, out / "sft", SEED)
    averaged = training.run(
        lambda step, generator: sft.loss_of(backbone, world, generator),
        logger(out / "sft"),
        progress,
        "sft",
    )
    path = weights / f"{SFT}.safetensors"
    sft.save(backbone, averaged, path)
    return path


def trained_base(weights: Path) -> FluxBackbone:
    """The base trained before. UserError when it has not been."""
    path = weights / f"{BASE}.safetensors"
    if not path.is_file():
        raise UserError(f"There is no {path}; run `bench mini train --stage base` first.")
    networks = MiniNetworks()
    networks.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return assemble(networks.eval(), "training", None)


def _judge(name: str, train: Callable[..., dict[str, Tensor]]) -> Stage:
    def stage(out: Path, steps: int | None, weights: Path, progress: Progress) -> Path:
        averaged = train(out / name, out / "cache", steps, progress)
        return save_half(averaged, weights / f"mini-{name}.safetensors")

    return stage


STAGES: dict[str, Stage] = {
    "base": _base,
    "sft": _sft,
    "dino": _judge("dino", judges.train_dino),
    "clip": _judge("clip", judges.train_clip),
    "attributes": _judge("attributes", reader.train_attributes),
}
