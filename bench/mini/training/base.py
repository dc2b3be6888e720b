"""Pre-training of the mini backbone: scenes and diptychs from text, as a rectified flow.

A diptych is two panels side by side, the subject alone on white and the subject in the scene, each
noised to its own level, the left one less. It gives the base the in-context sense that large
text-to-image models have; what a reference at timestep 0 is, only the SFT adapter learns.
"""

import torch
from torch import Tensor

from bench.methods.backbones.conditioned import Branch, velocity
from bench.methods.backbones.flux import pack, position_ids
from bench.methods.backbones.mini import MiniNetworks, PixelCodec, initialise
from bench.methods.loop import Recipe
from bench.methods.objectives import LOGIT_NORMAL, Timesteps, noised
from bench.mini.training.data import Corpus

EASY_STEPS = 3300
"""Steps on the easy world (one size, no tilt) before the real one."""
BATCH = 32
DIPTYCHS = 0.8
TEXT_DROPOUT = 0.1
LEFT_WEIGHT = 0.1
SIDE = 8
RECIPE = Recipe(
    steps=10_000,
    lr=2e-3,
    betas=(0.9, 0.95),
    warmup=200,
    decay=0.3,
    ema=0.998,
    save_every=250,
    log_every=50,
    bf16=True,
)


def fresh(seed: int) -> MiniNetworks:
    """Networks before any training."""
    torch.manual_seed(seed)
    networks = MiniNetworks()
    initialise(networks.transformer)
    return networks


def to_tokens(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to packed tokens (B, N, 48)."""
    codec = PixelCodec()
    return pack(codec.moments(images.permute(0, 3, 1, 2).float() / 255), codec.patch)


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


def loss_of(
    networks: MiniNetworks, corpus: Corpus, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """The flow-matching loss of one batch of diptychs or of single scenes."""
    left, right, captions = draw(corpus, generator, BATCH)
    text = networks.encode_prompts(captions)
    t = LOGIT_NORMAL.draw(BATCH, generator)
    panels, truths = [_panel(right, t, 0, generator)], [right]
    if torch.rand((), generator=generator) < DIPTYCHS:
        own = Timesteps(mean=-2.5, std=1.2).draw(BATCH, generator)
        same = torch.rand(BATCH, generator=generator) < 0.1
        panels.append(_panel(left, torch.where(same, t, own), -SIDE, generator))
        truths.append(left)
    weights = [1.0, LEFT_WEIGHT][: len(panels)]
    predicted = velocity(networks.transformer, text, [branch for branch, _ in panels])
    losses = [
        weight * (value.float() - (noise - clean)).square().mean()
        for weight, value, clean, (_, noise) in zip(weights, predicted, truths, panels, strict=True)
    ]
    return torch.stack(losses).sum() / sum(weights), {}


def _panel(
    clean: Tensor, t: Tensor, shift: int, generator: torch.Generator
) -> tuple[Branch, Tensor]:
    """A noised panel and its noise."""
    noise = torch.randn(clean.shape, generator=generator)
    return Branch(noised(clean, noise, t), position_ids(SIDE, shift), t), noise
