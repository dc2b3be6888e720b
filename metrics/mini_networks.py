"""The networks of the mini world's encoders."""

from pathlib import Path

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from bench.methods.backbones.mini_text import LENGTH, PAD, WORDS, tokenize
from bench.metrics.mini_encoders import SIZE
from bench.metrics.networks import Towers

END = len(WORDS) + 2
"""The highest token: open_clip reads a text at its argmax."""


def mini_dino(weights: Path) -> Towers:
    """``build_vit`` with weights from a file."""
    model = build_vit()
    model.load_state_dict(_state(weights))
    return Towers(model, model)


def mini_clip(weights: Path) -> Towers:
    """``build_clip`` with weights from a file."""
    model = build_clip()
    model.load_state_dict(_state(weights))
    return Towers(model, model.encode_image, clip_tokens, model.encode_text)


def build_vit() -> VisionTransformer:
    """A ViT of 64 patches and width 96: images to the CLS token."""
    return VisionTransformer(
        img_size=SIZE,
        patch_size=4,
        embed_dim=96,
        depth=4,
        num_heads=3,
        mlp_ratio=3.0,
        num_classes=0,
    )


def build_clip() -> CLIP:
    """Two towers of width 96 that meet in 64 dimensions."""
    vision = CLIPVisionCfg(
        layers=4, width=96, head_width=32, mlp_ratio=3.0, patch_size=4, image_size=SIZE
    )
    text = CLIPTextCfg(
        context_length=LENGTH, vocab_size=END + 1, width=96, heads=3, layers=3, mlp_ratio=2.0
    )
    return CLIP(64, vision, text)


def clip_tokens(prompts: list[str]) -> Tensor:
    """Word indices closed by the end token, (B, 20) int64; long prompts are cut."""
    words = tokenize(prompts, LENGTH - 1)
    ids = torch.nn.functional.pad(words, (0, 1), value=PAD)
    ids[torch.arange(len(prompts)), (words != PAD).sum(dim=1)] = END
    return ids


def _state(path: Path) -> dict[str, Tensor]:
    # Stored in half precision; the judges compute in fp32.
    return {name: value.float() for name, value in load_file(path).items()}
