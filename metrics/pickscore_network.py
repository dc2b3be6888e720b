"""PickScore's network: a CLIP ViT-H/14 in the layout of transformers."""

from functools import partial
from pathlib import Path

import open_clip
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel

from bench.metrics.networks import Towers

VITH14 = {
    "projection_dim": 1024,
    "text_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "hidden_act": "gelu",
    },
    "vision_config": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "patch_size": 14,
        "hidden_act": "gelu",
    },
}
"""LAION's CLIP ViT-H/14, from which PickScore was trained: GELU, not OpenAI's QuickGELU."""


def clip(config: dict[str, object], weights: Path) -> Towers:
    """A CLIP of transformers from a safetensors file. RuntimeError for weights of another network.

    open_clip's tokens are those of CLIPTokenizer up to the end of the text; what pads a text after
    it differs, and no causal network sees it.
    """
    model, loaded = CLIPModel.from_pretrained(
        None, config=CLIPConfig(**config), state_dict=load_file(weights), output_loading_info=True
    )
    if loaded["missing_keys"]:
        raise RuntimeError(f"missing: {', '.join(sorted(loaded['missing_keys']))}")
    return Towers(
        model,
        lambda pixels: model.get_image_features(pixels).pooler_output,
        open_clip.get_tokenizer("ViT-H-14"),
        lambda ids: model.get_text_features(ids).pooler_output,
    )


pickscore_v1 = partial(clip, VITH14)
