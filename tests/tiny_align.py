"""A small random ALIGN, saved as transformers saves the real one."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from transformers import AlignConfig, AlignModel, AlignTextConfig, AlignVisionConfig

from tests.networks import shaken


def save_align(folder: Path) -> None:
    """Weights and vocabulary in the folder: letters alone, always the same."""
    torch.manual_seed(0)
    text = AlignTextConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    vision = AlignVisionConfig(
        width_coefficient=0.25,
        depth_coefficient=0.2,
        in_channels=[32, 16],
        out_channels=[16, 320],
        kernel_sizes=[3, 3],
        strides=[2, 2],
        num_block_repeats=[1, 1],
        expand_ratios=[1, 2],
        hidden_dim=640,
    )
    config = AlignConfig(text_config=text, vision_config=vision, projection_dim=80)
    model: Any = shaken(AlignModel(config))
    model.save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
