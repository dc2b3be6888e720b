"""A reader of patterns and emblems: a second opinion on identity, and no encoder of the harness."""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api import Progress, silent
from bench.mini.shapes import EMBLEMS
from bench.mini.training.judges import (
    fit,
    loaded,
    recolours,
    to_input,
    train_corpus,
    validation_corpus,
)
from bench.mini.world import PALETTE, PATTERNS, Identity, Split, sample_identity

READABLE_CONTRAST = 0.35
BATCH = 128
STEPS = 1600


def attributes(split: Split, subjects: int) -> tuple[list[Identity], Tensor]:
    """The identities of a split and their (pattern, emblem) indices, (S, 2)."""
    identities = [sample_identity(0, split, index) for index in range(subjects)]
    emblems = tuple(EMBLEMS)
    labels = [[PATTERNS.index(one.pattern), emblems.index(one.emblem)] for one in identities]
    return identities, torch.tensor(labels)


def build_reader() -> nn.Sequential:
    """A small convolutional network: (B, 3, 32, 32) to the logits of patterns and emblems.

    A ViT from scratch stays at chance on these for hundreds of steps.
    """
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)]
        layers += [nn.GroupNorm(8, outputs), nn.GELU()]
    layers += [nn.Conv2d(128, 128, 3, padding=1), nn.GELU(), nn.AdaptiveMaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, len(PATTERNS) + len(EMBLEMS)))


def readable(identities: list[Identity], colours: NDArray[np.str_]) -> NDArray[np.bool_]:
    """(S, K) whether the pattern shows: a new body colour close to the second one hides it."""
    return np.array(
        [
            [not c or math.dist(PALETTE[c], one.second) > READABLE_CONTRAST for c in row]
            for one, row in zip(identities, colours, strict=True)
        ]
    )


def train_attributes(
    folder: Path, cache: Path, steps: int | None = None, progress: Progress = silent
) -> dict[str, Tensor]:
    """Pattern and emblem from references and scenes; hidden patterns count for nothing."""
    corpus = train_corpus(cache)
    identities, labels = attributes("train", len(corpus.references))
    views = np.concatenate([corpus.references[:, None], corpus.targets], axis=1)
    shown = readable(identities, recolours(corpus))
    shown = np.concatenate([np.ones((len(shown), 1), bool), shown], axis=1)
    torch.manual_seed(0)
    model = build_reader()

    def loss(generator: torch.Generator) -> Tensor:
        s = torch.randint(views.shape[0], (BATCH,), generator=generator)
        k = torch.randint(views.shape[1], (BATCH,), generator=generator)
        pattern, emblem = model(to_input(views[s.numpy(), k.numpy()])).split(len(PATTERNS), dim=1)
        seen = torch.from_numpy(shown[s.numpy(), k.numpy()])
        return F.cross_entropy(pattern[seen], labels[s, 0][seen]) + F.cross_entropy(
            emblem, labels[s, 1]
        )

    return fit(model, loss, steps or STEPS, folder, progress)


@torch.inference_mode()
def evaluate_attributes(weights: dict[str, Tensor], cache: Path) -> dict[str, float]:
    """Accuracy on validation renderings: scenes and references, chance is a quarter."""
    model = loaded(build_reader(), weights)
    corpus = validation_corpus(cache)
    identities, labels = attributes("validation", len(corpus.references))
    shown = torch.from_numpy(readable(identities, recolours(corpus)))
    scenes = read_attributes(model, corpus.targets.reshape(-1, 32, 32, 3)).view(*shown.shape, 2)
    references = read_attributes(model, corpus.references)
    right, right_references = scenes == labels[:, None], references == labels
    return {
        "pattern": right[..., 0][shown].float().mean().item(),
        "emblem": right[..., 1].float().mean().item(),
        "pattern_reference": right_references[:, 0].float().mean().item(),
        "emblem_reference": right_references[:, 1].float().mean().item(),
        "hidden_patterns": (~shown).float().mean().item(),
    }


def read_attributes(model: nn.Module, images: NDArray[np.uint8]) -> Tensor:
    """(pattern, emblem) indices of (B, 32, 32, 3) images, (B, 2)."""
    pattern, emblem = model(to_input(images)).split(len(PATTERNS), dim=1)
    return torch.stack([pattern.argmax(dim=1), emblem.argmax(dim=1)], dim=1)
