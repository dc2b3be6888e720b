"""DINO and CLIP as DreamMatcher's evaluation hands them images: (B, 3, 256, 256) in [-1, 1].

Source: Nam et al. 2024, evaluate.py, evaluation/dino_eval.py and clip_eval.py. RuntimeError for
weights of another network.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.metrics.clip import clip_vitb32_openai
from bench.metrics.networks import Towers
from bench.metrics.preparation import CLIP
from bench.metrics.vision import dino_vits16, resampled

SIDE, PATCH = 256, 16


def dino_vits16_dreammatcher(weights: Path) -> Towers:
    """DINO at 256 pixels, its positions moved as the official code does (the same in DINOv2's)."""
    towers = dino_vits16(weights)
    model = towers.module
    table: Tensor = model.state_dict()["pos_embed"]
    model.set_input_size((SIDE, SIDE))
    model.pos_embed = nn.Parameter(resampled(table, SIDE // PATCH))
    return towers


def clip_vitb32_dreammatcher(weights: Path) -> Towers:
    """CLIP, for which the tensor is made smaller without antialiasing, as torchvision 0.14 does."""
    towers = clip_vitb32_openai(weights)
    return replace(towers, images=lambda pixels: towers.images(_as_clip(pixels)))


def _as_clip(pixels: Tensor) -> Tensor:
    """[-1, 1] at 256 pixels to CLIP's colours at 224."""
    small = F.interpolate((pixels + 1) / 2, size=(224, 224), mode="bicubic", align_corners=False)
    mean, std = (
        torch.tensor(values, dtype=pixels.dtype, device=pixels.device).view(3, 1, 1)
        for values in (CLIP.mean, CLIP.std)
    )
    return (small - mean) / std
