"""The mini backbone's SFT adapter: OminiControl's conditioning on the frozen base.

Reference tokens stand to the left at timestep 0 and the LoRA acts on them alone; text and
reference are dropped independently, each in a tenth of the triplets.
"""

from pathlib import Path

import torch
from torch import Tensor

from bench.methods.backbones.backbone import Condition, Text
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import FlowMatching
from bench.methods.examples import Batch
from bench.methods.loop import Recipe
from bench.mini.training.base import draw
from bench.mini.training.data import Corpus

ADAPTER = "sft"
RANK = 16
BATCH = 32
IMAGE_DROPOUT = 0.1
RECIPE = Recipe(
    steps=1800,
    lr=1e-3,
    betas=(0.9, 0.95),
    warmup=100,
    decay=0.5,
    weight_decay=0.0,
    ema=0.995,
    save_every=250,
    log_every=50,
    bf16=True,
)


def loss_of(
    backbone: FluxBackbone, corpus: Corpus, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Flow matching of the targets given references and captions."""
    references, targets, captions = draw(corpus, generator, BATCH)
    black = backbone.encode_images(torch.zeros(1, 3, 32, 32), [])
    dropped = torch.rand(BATCH, generator=generator) < IMAGE_DROPOUT
    references = torch.where(dropped[:, None, None], black, references)
    text: Text = backbone.encode_prompts(captions)
    batch = Batch(Condition(text, references), targets)
    loss, _ = FlowMatching({ADAPTER: 1.0})(backbone, batch, generator)
    return loss, {}


def start(backbone: FluxBackbone, seed: int) -> dict[str, torch.nn.Parameter]:
    """A fresh adapter on the backbone; its weights by name."""
    backbone.add_adapter(ADAPTER, RANK, seed)
    return backbone.adapter_parameters(ADAPTER)


def save(backbone: FluxBackbone, averaged: dict[str, Tensor], path: Path) -> None:
    """Write the averaged adapter in half precision."""
    parameters = backbone.adapter_parameters(ADAPTER)
    with torch.no_grad():
        for name, value in averaged.items():
            parameters[name].data = value.half()
    backbone.save_adapter(ADAPTER, path)
