"""Networks that see images only: the builders of DINO and its kin."""

from pathlib import Path

import timm
from torch import nn

from bench.metrics.networks import Towers


def dino_vits16(weights: Path) -> Towers:
    """timm's ViT-S/16 without a head, from a safetensors file."""
    return _vit("vit_small_patch16_224.dino", weights)


def _vit(name: str, weights: Path) -> Towers:
    overlay = {"file": str(weights)}
    model: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
    return Towers(model, model)
