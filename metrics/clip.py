"""CLIP's two towers: the builders."""

from pathlib import Path

import open_clip

from bench.metrics.networks import Towers


def vitb32_openai(weights: Path) -> Towers:
    """open_clip's ViT-B/32 from a safetensors file.

    The plain name "ViT-B-32" would put GELU where OpenAI trained QuickGELU, without a warning.
    """
    return _towers("ViT-B-32-quickgelu", weights)


def _towers(name: str, weights: Path) -> Towers:
    model = open_clip.create_model(name, pretrained=str(weights))
    tokens = open_clip.get_tokenizer(name)
    return Towers(model, model.encode_image, tokens, model.encode_text)
