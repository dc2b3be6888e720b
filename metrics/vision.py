"""Networks that see images only: the builders of DINO and DINOv2, from timm's weights.

Each takes the path of a weights file, timm's or the authors', and gives the normed CLS token.
RuntimeError for weights of another network.
"""

from functools import partial
from pathlib import Path
from typing import cast

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from bench.metrics.networks import Towers

OFFSET = 0.1
"""DINOv2 adds it to the new number of patches, against rounding (``interpolate_offset``)."""


def dino(name: str, weights: Path) -> Towers:
    """A DINO ViT without its head."""
    model = _vit(name, weights)
    return Towers(model, model)


def dinov2(name: str, side: int, weights: Path) -> Towers:
    """A DINOv2 ViT for images of ``side`` pixels, a multiple of 14.

    timm would resample the position embedding with antialiasing and transformers without the
    offset: neither gives the features of the official code.
    """
    model = _vit(name, weights)
    trained: Tensor = model.state_dict()["pos_embed"]
    model.set_input_size((side, side))
    model.pos_embed = nn.Parameter(resampled(trained, side // 14))
    return Towers(model, model)


def resampled(table: Tensor, patches: int) -> Tensor:
    """The position embedding (1, 1 + n*n, D) for ``patches`` a side: (1, 1 + patches^2, D).

    Bicubic, no antialiasing, by a scale that is not quite patches / n. Source: DINOv2,
    dinov2/models/vision_transformer.py, ``interpolate_pos_encoding``.
    """
    first, grid = table[:, :1], table[:, 1:]
    side = round(grid.shape[1] ** 0.5)
    if side == patches:
        return table
    scale = (patches + OFFSET) / side
    square = grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    moved = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([first, moved.flatten(2).transpose(1, 2)], dim=1)


def _vit(name: str, weights: Path) -> VisionTransformer:
    overlay = {"file": str(weights)}
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0)
    return cast(VisionTransformer, model)


dino_vits16 = partial(dino, "vit_small_patch16_224.dino")
dino_vits16_hf = dino_vits16
dino_vits8 = partial(dino, "vit_small_patch8_224.dino")
dino_vitb16 = partial(dino, "vit_base_patch16_224.dino")
dino_vitb8 = partial(dino, "vit_base_patch8_224.dino")
dinov2_vits14 = partial(dinov2, "vit_small_patch14_dinov2.lvd142m", 224)
dinov2_vitb14 = partial(dinov2, "vit_base_patch14_dinov2.lvd142m", 224)
dinov2_vitl14 = partial(dinov2, "vit_large_patch14_dinov2.lvd142m", 224)
dinov2_vitg14 = partial(dinov2, "vit_giant_patch14_dinov2.lvd142m", 224)
dinov2_vitl14_518 = partial(dinov2, "vit_large_patch14_dinov2.lvd142m", 518)
