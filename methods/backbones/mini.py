"""The mini backbone: a tiny FLUX on packed pixels of the procedural world."""

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

PATCH = 4
SCALE = 1.7  # brings the world's pixels in [-1, 1] to about unit variance


def build_transformer() -> FluxTransformer2DModel:
    """FLUX's transformer at a tiny configuration: 3.2 M parameters, no guidance embedding."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=3 * PATCH * PATCH,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=5,
        joint_attention_dim=96,
        pooled_projection_dim=96,
        guidance_embeds=False,
        axes_dims_rope=(4, 14, 14),
    )


def initialise(transformer: FluxTransformer2DModel) -> None:
    """Xavier blocks, residual gates at one, modulation and output at zero."""
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for block in transformer.transformer_blocks:
        for norm in (block.norm1, block.norm1_context):
            _open_gates(norm.linear, gates=(2, 5), chunks=6)
    for block in transformer.single_transformer_blocks:
        _open_gates(block.norm.linear, gates=(2,), chunks=3)
    for layer in (transformer.norm_out.linear, transformer.proj_out):
        nn.init.zeros_(layer.weight)


def _open_gates(linear: nn.Linear, gates: tuple[int, ...], chunks: int) -> None:
    nn.init.zeros_(linear.weight)
    with torch.no_grad():
        for gate in gates:
            linear.bias.chunk(chunks)[gate].fill_(1.0)


def pack(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] to tokens (B, H/4 * W/4, 48)."""
    patches = (images * 2 - 1).unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2) * SCALE


def unpack(tokens: Tensor) -> Tensor:
    """Tokens (B, N, 48) of a square image back to (B, 3, H, W), clipped to [0, 1]."""
    side = round(tokens.shape[1] ** 0.5)
    patches = (tokens / SCALE).unflatten(1, (side, side)).unflatten(3, (3, PATCH, PATCH))
    images = patches.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
    return ((images + 1) / 2).clamp(0, 1)


def position_ids(side: int, shift: int = 0) -> Tensor:
    """Positions (side * side, 3) of a square image's tokens, moved ``shift`` columns."""
    ids = torch.zeros(side, side, 3)
    ids[..., 1] = torch.arange(side)[:, None]
    ids[..., 2] = torch.arange(side)[None, :] + shift
    return ids.reshape(-1, 3)
