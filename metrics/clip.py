"""CLIP's two towers: the builders, by open_clip from weights in its own layout.

The plain names, such as "ViT-B-32", would put GELU where OpenAI trained QuickGELU, without a
warning when the weights are a file. RuntimeError for weights of another network: open_clip's own
loading would stretch a position embedding that does not fit.
"""

from functools import partial
from pathlib import Path

import open_clip
import torch
from open_clip.factory import load_state_dict
from torch import Tensor

from bench.metrics.networks import Towers


def openai(name: str, weights: Path) -> Towers:
    """A CLIP of OpenAI's under open_clip's name, with open_clip's tokens (77 at most)."""
    model = open_clip.create_model(name, pretrained=None)
    model.load_state_dict(load_state_dict(str(weights)))
    return Towers(model, model.encode_image, open_clip.get_tokenizer(name), partial(read, model))


def read(model: open_clip.CLIP, tokens: Tensor) -> Tensor:
    """(B, 77) token ids to (B, D), as ``encode_text`` has it, without what follows the texts.

    Attention looks backwards alone, so that nothing behind the end token reaches it.
    """
    ends = tokens.argmax(dim=1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    ended: Tensor = model.ln_final(x)[torch.arange(len(x), device=x.device), ends]
    return ended @ model.text_projection


clip_vitb32_openai = partial(openai, "ViT-B-32-quickgelu")
clip_vitb16_openai = partial(openai, "ViT-B-16-quickgelu")
clip_vitl14_openai = partial(openai, "ViT-L-14-quickgelu")
clip_vitl14_336_openai = partial(openai, "ViT-L-14-336-quickgelu")
