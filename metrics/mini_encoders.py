"""The mini world's own encoders: the shapes of DINO and CLIP at a tiny size.

They know the procedural world alone; a board that uses them says so. Images of any size are
brought to 32 pixels first.
"""

from pathlib import Path

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from bench.methods.backbones.mini_text import LENGTH, PAD, WORDS, tokenize
from bench.metrics.encoders import OpenClipEncoder, TimmEncoder, pil_pipeline
from bench.mini.weights import weights_file

SIZE = 32
END = len(WORDS) + 2
"""The highest token: open_clip reads a text at its argmax."""


GREY = (0.5, 0.5, 0.5)


def mini_dino() -> TimmEncoder:
    """The judge of identity in the mini world: the CLS token (96) of a ViT.

    Trained by supervised contrast over the identities of its training subjects.
    """
    prepare = pil_pipeline(SIZE, SIZE, GREY, GREY)
    return TimmEncoder("mini-dino", weights_file("mini-dino"), load_vit, prepare)


def mini_clip() -> OpenClipEncoder:
    """The judge of scenes in the mini world: images and full prompts of its grammar, 64 numbers."""
    prepare = pil_pipeline(SIZE, SIZE, GREY, GREY)
    return OpenClipEncoder("mini-clip", weights_file("mini-clip"), load_clip, prepare, clip_tokens)


def load_vit(path: Path) -> VisionTransformer:
    """``build_vit`` with weights from a file."""
    model = build_vit()
    model.load_state_dict(_state(path))
    return model


def load_clip(path: Path) -> CLIP:
    """``build_clip`` with weights from a file."""
    model = build_clip()
    model.load_state_dict(_state(path))
    return model


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
