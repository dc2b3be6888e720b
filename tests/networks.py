"""Pictures and small random networks, and the plain formulas of transformers."""

from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bench.api import Precision
from bench.metrics.clip import read
from bench.metrics.encoders import BATCH, NetworkEncoder
from bench.metrics.networks import Towers
from bench.metrics.preparation import GREY, ShortestSide

State = dict[str, Tensor]


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Coloured blobs under fine grain, so that every resampling shows."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), np.uint8)).resize(size)
    grain = rng.integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def shaken(model: nn.Module) -> nn.Module:
    """Random weights that leave no bias at zero and no norm at one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def stored(model: nn.Module, path: Path) -> Path:
    """The file that now holds the model's weights."""
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


def small_clip() -> CLIP:
    """CLIP with QuickGELU for 32 pixels, 24 numbers; always the same."""
    torch.manual_seed(0)
    vision = CLIPVisionCfg(layers=2, width=48, head_width=16, patch_size=8, image_size=32)
    return CLIP(24, vision, CLIPTextCfg(width=48, heads=3, layers=2), quick_gelu=True)


def small_clip_towers(weights: Path) -> Towers:
    """``small_clip`` as an encoder builds it."""
    model = small_clip()
    model.load_state_dict(load_file(weights))
    tokens = open_clip.get_tokenizer("ViT-B-32-quickgelu")
    return Towers(model, model.encode_image, tokens, partial(read, model))


def small_clip_images(weights: Path) -> Towers:
    """The image tower of ``small_clip`` alone."""
    towers = small_clip_towers(weights)
    return Towers(towers.module, towers.images)


def small_encoder(
    weights: Path, precision: Precision = "fp32", batch: int = BATCH
) -> NetworkEncoder:
    """The encoder of ``small_clip``."""
    build, prepare = f"{__name__}:small_clip_towers", ShortestSide(32, 32)
    return NetworkEncoder("small-clip", build, prepare, GREY, precision, weights, batch)


def linear(x: Tensor, state: State, name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    deviation = x - x.mean(dim=-1, keepdim=True)
    scaled = deviation / (deviation.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(qkv: Tensor, heads: int, causal: bool = False) -> Tensor:
    q, k, v = qkv.view(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        logits = logits + torch.full(logits.shape[-2:], -torch.inf).triu(1)
    mixed: Tensor = logits.softmax(dim=-1) @ v
    return mixed.transpose(1, 2).flatten(2)


def patches(pixels: Tensor, kernel: Tensor, stride: int | None = None) -> Tensor:
    size = kernel.shape[-1]
    cut = F.unfold(pixels, size, stride=stride or size).transpose(1, 2)
    return cut @ kernel.flatten(1).T


def clip_layers(
    x: Tensor, state: State, prefix: str, heads: int, causal: bool, gelu: str
) -> Tensor:
    """open_clip's residual blocks, by their names in a checkpoint."""
    depth = len(
        {name for name in state if name.startswith(prefix) and name.endswith("in_proj_weight")}
    )
    for layer in range(depth):
        at = f"{prefix}.resblocks.{layer}"
        qkv = norm(x, state, f"{at}.ln_1", 1e-5) @ state[f"{at}.attn.in_proj_weight"].T
        mixed = attention(qkv + state[f"{at}.attn.in_proj_bias"], heads, causal)
        x = x + linear(mixed, state, f"{at}.attn.out_proj")
        hidden = linear(norm(x, state, f"{at}.ln_2", 1e-5), state, f"{at}.mlp.c_fc")
        bent = hidden * torch.sigmoid(1.702 * hidden) if gelu == "quick" else F.gelu(hidden)
        x = x + linear(bent, state, f"{at}.mlp.c_proj")
    return x


def clip_image(
    pixels: Tensor, state: State, heads: int, gelu: str = "quick", stride: int = 0
) -> Tensor:
    """open_clip's image tower; ``state`` holds the tower alone."""
    x = patches(pixels, state["conv1.weight"], stride)
    first = state["class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([first, x], dim=1) + state["positional_embedding"]
    x = clip_layers(norm(x, state, "ln_pre", 1e-5), state, "transformer", heads, False, gelu)
    return norm(x[:, 0], state, "ln_post", 1e-5) @ state["proj"]


def clip_text(ids: Tensor, state: State, heads: int) -> Tensor:
    """open_clip's text tower, read at the end of the text, which has the highest token."""
    x = state["token_embedding.weight"][ids] + state["positional_embedding"]
    x = clip_layers(x, state, "transformer", heads, True, "quick")
    x = norm(x, state, "ln_final", 1e-5)
    return x[torch.arange(len(x)), ids.argmax(dim=1)] @ state["text_projection"]


def within(state: State, prefix: str) -> State:
    """The part of a state whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
