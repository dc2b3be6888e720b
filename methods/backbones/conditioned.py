"""FLUX's transformer with reference tokens: OminiControl's conditioning, written branch by branch.

A branch is a run of tokens with its own timestep and its own adapters. Text and image share the
image's timestep and carry no adapter; every reference branch brings its own. All branches attend
to one another. With no reference this is exactly ``FluxTransformer2DModel.forward``.
Source: OminiControl (arXiv 2411.15098), facts of its released code; diffusers' transformer_flux.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import (
    FluxAttention,
    FluxSingleTransformerBlock,
    FluxTransformer2DModel,
    FluxTransformerBlock,
)
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional as F

from bench.methods.backbones.backbone import OFF, Text, Weights


@dataclass(frozen=True)
class Branch:
    """Tokens that share a timestep and adapters.

    ``tokens``: (B, N, C) packed latents; ``ids``: (N, 3) positions; ``timestep``: (B,) in [0, 1];
    ``guidance``: (B,) or None for backbones without a guidance embedding.
    """

    tokens: Tensor
    ids: Tensor
    timestep: Tensor
    guidance: Tensor | None = None
    adapters: Weights = field(default_factory=dict)


def velocity(
    transformer: FluxTransformer2DModel, text: Text, branches: list[Branch]
) -> list[Tensor]:
    """The predicted velocity of every branch: a list of (B, N, C), in the branches' order.

    The first branch is the image; it gives its timestep to the text.
    """
    tembs = [_time_embedding(transformer, branch, text.pooled) for branch in branches]
    adapters = [branch.adapters for branch in branches]
    states = [
        _linear(transformer.x_embedder, branch.tokens, branch.adapters) for branch in branches
    ]
    context = transformer.context_embedder(text.tokens)
    text_ids = torch.zeros(context.shape[1], 3, device=context.device, dtype=branches[0].ids.dtype)
    rotary = transformer.pos_embed(torch.cat([text_ids, *(branch.ids for branch in branches)]))
    for block in transformer.transformer_blocks:
        context, states = _checkpointed(
            transformer, _double_block, block, context, states, tembs, adapters, rotary
        )
    for block in transformer.single_transformer_blocks:
        context, states = _checkpointed(
            transformer, _single_block, block, context, states, tembs, adapters, rotary
        )
    return [
        transformer.proj_out(transformer.norm_out(state, temb))
        for state, temb in zip(states, tembs, strict=True)
    ]


def _checkpointed(
    transformer: FluxTransformer2DModel, block_forward: Callable[..., Any], *arguments: Any
) -> Any:
    if torch.is_grad_enabled() and transformer.gradient_checkpointing:
        return torch.utils.checkpoint.checkpoint(block_forward, *arguments, use_reentrant=False)
    return block_forward(*arguments)


def _time_embedding(transformer: FluxTransformer2DModel, branch: Branch, pooled: Tensor) -> Tensor:
    timestep = branch.timestep.to(pooled.dtype) * 1000
    if branch.guidance is None:
        return transformer.time_text_embed(timestep, pooled)
    return transformer.time_text_embed(timestep, branch.guidance.to(pooled.dtype) * 1000, pooled)


def _linear(layer: nn.Module, x: Tensor, adapters: Weights) -> Tensor:
    """A linear layer with just these adapters on it, whatever PEFT thinks is active."""
    if not isinstance(layer, LoraLayer):
        return cast(Tensor, layer(x))
    y: Tensor = layer.base_layer(x)
    for name, weight in adapters.items():
        if name in layer.lora_A:
            a, b = cast(nn.Linear, layer.lora_A[name]), cast(nn.Linear, layer.lora_B[name])
            y = y + (b(a(x.to(a.weight.dtype))) * (weight * layer.scaling[name])).to(y.dtype)
    return y


def _modulation(norm: Any, temb: Tensor, adapters: Weights, chunks: int) -> list[Tensor]:
    parts = _linear(norm.linear, F.silu(temb), adapters)
    return [part[:, None] for part in parts.chunk(chunks, dim=1)]


def _heads(attn: FluxAttention, x: Tensor, adapters: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised queries and keys, and values, of one branch: (B, N, heads, head_dim)."""
    query, key, value = (
        _linear(layer, x, adapters).unflatten(-1, (-1, attn.head_dim))
        for layer in (attn.to_q, attn.to_k, attn.to_v)
    )
    return attn.norm_q(query), attn.norm_k(key), value


def _context_heads(attn: FluxAttention, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (
        layer(x).unflatten(-1, (-1, attn.head_dim))
        for layer in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    )
    return attn.norm_added_q(query), attn.norm_added_k(key), value


def _attend(heads: list[tuple[Tensor, Tensor, Tensor]], rotary: Tensor) -> list[Tensor]:
    """Joint attention over all branches: one (B, N, D) per branch."""
    lengths = [query.shape[1] for query, _, _ in heads]
    query, key, value = (torch.cat(parts, dim=1) for parts in zip(*heads, strict=True))
    query = apply_rotary_emb(query, rotary, sequence_dim=1)
    key = apply_rotary_emb(key, rotary, sequence_dim=1)
    dtype, on_cpu = value.dtype, value.device.type == "cpu"
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    with torch.autocast(query.device.type, enabled=torch.is_autocast_enabled() and not on_cpu):
        if on_cpu:  # bf16 attention is ten times slower there than fp32
            query, key, value = query.float(), key.float(), value.float()
        joint = F.scaled_dot_product_attention(query, key, value)
    return list(joint.transpose(1, 2).flatten(2).to(dtype).split(lengths, dim=1))


def _double_block(
    block: FluxTransformerBlock,
    context: Tensor,
    states: list[Tensor],
    tembs: list[Tensor],
    adapters: list[Weights],
    rotary: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    attn = block.attn
    text = _modulation(block.norm1_context, tembs[0], OFF, 6)
    mods = [_modulation(block.norm1, temb, on, 6) for temb, on in zip(tembs, adapters, strict=True)]
    heads = [_context_heads(attn, block.norm1_context.norm(context) * (1 + text[1]) + text[0])]
    for state, mod, on in zip(states, mods, adapters, strict=True):
        heads.append(_heads(attn, block.norm1.norm(state) * (1 + mod[1]) + mod[0], on))
    attended = _attend(heads, rotary)

    context = context + text[2] * attn.to_add_out(attended[0])
    hidden = block.norm2_context(context) * (1 + text[4]) + text[3]
    context = context + text[5] * block.ff_context(hidden)
    after = []
    for i, (mod, on) in enumerate(zip(mods, adapters, strict=True)):
        state = states[i] + mod[2] * _linear(attn.to_out[0], attended[i + 1], on)
        hidden = block.norm2(state) * (1 + mod[4]) + mod[3]
        hidden = block.ff.net[0](hidden)
        after.append(state + mod[5] * _linear(block.ff.net[2], hidden, on))
    return context, after


def _single_block(
    block: FluxSingleTransformerBlock,
    context: Tensor,
    states: list[Tensor],
    tembs: list[Tensor],
    adapters: list[Weights],
    rotary: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    runs = [context, *states]
    on_each = [OFF, *adapters]
    mods = [
        _modulation(block.norm, temb, on, 3)
        for temb, on in zip([tembs[0], *tembs], on_each, strict=True)
    ]
    normed = [
        block.norm.norm(run) * (1 + mod[1]) + mod[0] for run, mod in zip(runs, mods, strict=True)
    ]
    attended = _attend(
        [_heads(block.attn, run, on) for run, on in zip(normed, on_each, strict=True)], rotary
    )
    for i, (mod, on) in enumerate(zip(mods, on_each, strict=True)):
        mlp = block.act_mlp(_linear(block.proj_mlp, normed[i], on))
        update = _linear(block.proj_out, torch.cat([attended[i], mlp], dim=2), on)
        runs[i] = runs[i] + mod[2] * update
    return runs[0], runs[1:]
