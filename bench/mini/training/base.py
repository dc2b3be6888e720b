"""Pre-training of the mini backbone: scenes and diptychs from text, as a rectified flow.

A diptych is two panels side by side, the subject alone on white and the subject in the scene, each
noised to its own level: it gives the base the in-context sense that large text-to-image models
have, and no notion of a clean reference (that is what the SFT adapter learns).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from bench.methods.backbones.conditioned import Branch, Text, velocity
from bench.methods.backbones.mini import build_transformer, initialise, pack, position_ids
from bench.methods.backbones.mini_text import MiniTextEncoder, tokenize
from bench.mini.training.data import Corpus, cached_corpus
from bench.mini.training.loop import Recipe, train

EASY_STEPS = 1000
BATCH = 32
DIPTYCHS = 0.75
TEXT_DROPOUT = 0.1
SIDE = 8


class Base(nn.Module):
    """Transformer and text encoder under one roof, for saving and averaging."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = build_transformer()
        self.text = MiniTextEncoder()

    def encode(self, prompts: list[str]) -> Text:
        return Text(*self.text(tokenize(prompts)))


def to_tokens(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to packed tokens."""
    return pack(images.permute(0, 3, 1, 2).float() / 255)


def logit_normal(n: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return torch.sigmoid(mean + std * torch.randn(n, generator=generator))


def noised(clean: Tensor, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """x_t = (1 - t) x + t eps, and its velocity eps - x."""
    noise = torch.randn(clean.shape, generator=generator)
    return clean + t[:, None, None] * (noise - clean), noise - clean


def draw(corpus: Corpus, generator: torch.Generator, n: int) -> tuple[Tensor, Tensor, list[str]]:
    """n random triplets: reference tokens, target tokens, captions (a tenth of them empty)."""
    subjects, per_subject = corpus.targets.shape[:2]
    s = torch.randint(subjects, (n,), generator=generator)
    k = torch.randint(per_subject, (n,), generator=generator)
    keep = torch.rand(n, generator=generator) >= TEXT_DROPOUT
    captions = [
        corpus.captions[i][j] if kept else ""
        for i, j, kept in zip(s.tolist(), k.tolist(), keep.tolist(), strict=True)
    ]
    references = to_tokens(torch.from_numpy(corpus.references[s.numpy()]))
    targets = to_tokens(torch.from_numpy(corpus.targets[s.numpy(), k.numpy()]))
    return references, targets, captions


def loss_of(model: Base, corpus: Corpus, generator: torch.Generator) -> Tensor:
    """The flow-matching loss of one batch of diptychs or of single scenes."""
    left, right, captions = draw(corpus, generator, BATCH)
    text = model.encode(captions)
    t = logit_normal(BATCH, generator)
    x, v = noised(right, t, generator)
    panels = [Branch(x, position_ids(SIDE), t)]
    truth, weights = [v], [1.0]
    if torch.rand((), generator=generator) < DIPTYCHS:
        own = logit_normal(BATCH, generator, mean=-1.0, std=1.5)
        same = torch.rand(BATCH, generator=generator) < 0.25
        own = torch.where(same, t, own)
        x, v = noised(left, own, generator)
        panels.append(Branch(x, position_ids(SIDE, shift=-SIDE), own))
        truth, weights = [*truth, v], [1.0, 0.3]
    predicted = velocity(model.transformer, text, panels)
    losses = [
        w * (p.float() - v).square().mean()
        for w, p, v in zip(weights, predicted, truth, strict=True)
    ]
    return torch.stack(losses).sum() / sum(weights)


def train_base(folder: Path, cache: Path, steps: int, seed: int = 0) -> dict[str, Tensor]:
    """Train, or go on training, the base; returns the averaged weights."""
    torch.manual_seed(seed)
    model = Base()
    initialise(model.transformer)
    easy = cached_corpus(cache, 0, "train", 4000, 2, difficulty=0.0)
    world = cached_corpus(cache, 0, "train", 12000, 4)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        return loss_of(model, easy if step < EASY_STEPS else world, generator)

    recipe = Recipe(steps=steps, lr=2e-3, bf16=True)
    return train(dict(model.named_parameters()), loss, recipe, folder, seed)
