"""A reward model of subject fidelity, trained on pairs: the positive is worth more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.corpora import Corpus
from bench.methods.examples import Example
from bench.methods.loop import Recipe, Training
from bench.methods.reward_network import RewardNetwork
from bench.methods.sampling import to_tensor
from bench.processes import processes
from bench.store import write_atomically

NAME = "reward"
HELD_OUT = 0.05
"""Share of the pairs that the training does not see."""


class RewardModel(Protocol):
    """How well images show the reference's subject as the prompts say; larger is better."""

    def score(self, prompts: Sequence[str], references: Tensor, images: Tensor) -> Tensor:
        """(B,) in fp32 on the CPU, for images (B, 3, H, W) in [0, 1]."""
        ...


@dataclass(frozen=True)
class RewardRecipe:
    """How it is trained; the rate falls linearly to zero. ``frozen``: share of layers kept."""

    iterations: int
    batch: int
    micro_batch: int
    lr: float
    frozen: float


@dataclass(frozen=True)
class Quadruplets:
    """Pairs with their prompts and references, as tensors of ``size`` x ``size`` pixels."""

    corpus: Corpus
    examples: Sequence[Example]
    size: int

    def batch(self, indices: Sequence[int]) -> tuple[list[str], Tensor, Tensor, Tensor]:
        """Prompts, references, positives, negatives of some pairs."""
        chosen = [self.examples[index] for index in indices]
        triplets = [self.corpus[example.index] for example in chosen]
        positives = [
            example.positive() if example.positive else triplet.target
            for example, triplet in zip(chosen, triplets, strict=True)
        ]
        negatives = [example.negative() for example in chosen if example.negative]
        return (
            [triplet.prompt for triplet in triplets],
            to_tensor([triplet.reference for triplet in triplets], self.size),
            to_tensor(positives, self.size),
            to_tensor(negatives, self.size),
        )

    def split(self) -> tuple["Quadruplets", "Quadruplets"]:
        """What is trained on, and what is held out."""
        held = max(1, round(HELD_OUT * len(self.examples)))
        if held == len(self.examples):
            raise UserError(
                "A reward model needs two pairs at least, as one is held out; raise the option "
                "'negatives'."
            )
        kept, out = self.examples[held:], self.examples[:held]
        return Quadruplets(self.corpus, kept, self.size), Quadruplets(self.corpus, out, self.size)


def fit_reward(
    network: RewardNetwork,
    pairs: Quadruplets,
    recipe: RewardRecipe,
    seed: int,
    workspace: Workspace,
) -> None:
    """Train it in the run's folder, or load what was trained there; logs its accuracy."""
    parameters = network.trainable(recipe.frozen)
    if _path(workspace).is_file():
        _load(network, _path(workspace), set(parameters))
        return
    seen, unseen = pairs.split()
    training = Training(parameters, _loop(recipe), workspace.folder / NAME, seed)
    training.run(
        lambda _, generator: _loss(network, seen, recipe.micro_batch, generator),
        workspace.log,
        workspace.progress,
        f"train {NAME}",
    )
    processes().once(lambda: _finish(network, parameters, unseen, recipe, workspace))


def _finish(
    network: RewardNetwork,
    parameters: Mapping[str, Tensor],
    unseen: Quadruplets,
    recipe: RewardRecipe,
    workspace: Workspace,
) -> None:
    figures = {"accuracy": accuracy(network, unseen, recipe.micro_batch), "n": len(unseen.examples)}
    workspace.log({"event": f"validate {NAME}", **figures})
    tensors = {name: value.detach().cpu().contiguous() for name, value in parameters.items()}
    write_atomically(_path(workspace), save(tensors))


def _path(workspace: Workspace) -> Path:
    return workspace.folder / f"{NAME}.safetensors"


def accuracy(network: RewardModel, pairs: Quadruplets, batch: int) -> float:
    """Share of pairs of which the positive is worth more."""
    right = 0
    for start in range(0, len(pairs.examples), batch):
        indices = range(start, min(start + batch, len(pairs.examples)))
        prompts, references, positives, negatives = pairs.batch(indices)
        better = network.score(prompts, references, positives)
        worse = network.score(prompts, references, negatives)
        right += int((better > worse).sum())
    return right / len(pairs.examples)


def _loop(recipe: RewardRecipe) -> Recipe:
    return Recipe(
        steps=recipe.iterations,
        lr=recipe.lr,
        weight_decay=0.0,
        decay=1.0,
        accumulate=recipe.batch // recipe.micro_batch,
    )


def _loss(
    network: RewardNetwork, pairs: Quadruplets, size: int, generator: torch.Generator
) -> tuple[Tensor, Mapping[str, float]]:
    """-log sigmoid(r_positive - r_negative) of a random batch."""
    indices = torch.randint(len(pairs.examples), (size,), generator=generator).tolist()
    prompts, references, positives, negatives = pairs.batch(indices)
    network.train()
    with torch.random.fork_rng(devices=[]):
        # Dropout draws from the global generator: a resumed training must draw the same.
        torch.manual_seed(generator.initial_seed())
        seen = network.see(references)
        better = network.judge(prompts, seen, network.see(positives))
        worse = network.judge(prompts, seen, network.see(negatives))
    loss = -F.logsigmoid(better - worse).mean()
    return loss, {"accuracy": float((better > worse).float().mean())}


def _load(network: RewardNetwork, path: Path, names: set[str]) -> None:
    try:
        tensors = load_file(path)
        if tensors.keys() != names:
            raise ValueError("other weights")
        network.load_state_dict(tensors, strict=False)
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise UserError(
            f"The reward model {path} is damaged or of another network; delete it to train anew."
        ) from error
