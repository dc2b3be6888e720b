"""FLUX's transformer with reference tokens: OminiControl's conditioning, written branch by branch.

A branch is a run of tokens with its own timestep and its own adapters. Text and image share the
image's timestep; every reference branch brings its own. Either all branches attend to one another
(``velocity``), or a reference attends to itself alone (``remember``) and the others to what is kept
of it. With no reference this is exactly ``FluxTransformer2DModel.forward``.
Source: OminiControl (arXiv 2411.15098), facts of its released code; diffusers' transformer_flux.
"""

from collections.abc import Sequence
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

Heads = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values: (B, N, heads, head_dim) each."""
Kept = tuple[Tensor, Tensor]
"""Keys, rotated to their positions, and values of one block's attention."""
Rotary = tuple[Tensor, Tensor]


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


@dataclass(frozen=True)
class _Run:
    """What holds for a run of tokens in every block; the text has layers of its own in some."""

    temb: Tensor
    adapters: Weights = field(default_factory=dict)
    text: bool = False


def velocity(
    transformer: FluxTransformer2DModel,
    text: Text,
    branches: list[Branch],
    memory: Sequence[Kept] | None = None,
    on_text: Weights = OFF,
) -> list[Tensor]:
    """The predicted velocity of every branch: a list of (B, N, C), in the branches' order.

    The first branch is the image; it gives its timestep to the text, on whose tokens the adapters
    ``on_text`` act. All of them attend to one another, and to what ``remember`` kept of a
    reference.
    """
    context = transformer.context_embedder(text.tokens)
    states = [context, *(_embedded(transformer, branch) for branch in branches)]
    tembs = [_time_embedding(transformer, branch, text.pooled) for branch in branches]
    runs = [_Run(tembs[0], on_text, text=True)]
    runs += [_Run(temb, branch.adapters) for temb, branch in zip(tembs, branches, strict=True)]
    ids = branches[0].ids
    text_ids = torch.zeros(context.shape[1], 3, device=context.device, dtype=ids.dtype)
    rotary = transformer.pos_embed(torch.cat([text_ids, *(branch.ids for branch in branches)]))
    blocks = _blocks(transformer)
    others: Sequence[Kept | None] = memory or [None] * len(blocks)
    for block, kept in zip(blocks, others, strict=True):
        states, _ = _passed(transformer, block, states, runs, rotary, kept)
    return [
        transformer.proj_out(transformer.norm_out(state, run.temb))
        for state, run in zip(states[1:], runs[1:], strict=True)
    ]


def remember(transformer: FluxTransformer2DModel, text: Text, branch: Branch) -> list[Kept]:
    """What every block keeps of a branch that attends to itself alone.

    It depends on the branch and the pooled text, so on no step of a sampling.
    """
    states = [_embedded(transformer, branch)]
    runs = [_Run(_time_embedding(transformer, branch, text.pooled), branch.adapters)]
    rotary, memory = transformer.pos_embed(branch.ids), []
    for block in _blocks(transformer):
        states, kept = _passed(transformer, block, states, runs, rotary, None)
        memory.append(kept)
    return memory


def _blocks(transformer: FluxTransformer2DModel) -> list[nn.Module]:
    return [*transformer.transformer_blocks, *transformer.single_transformer_blocks]


def _passed(
    transformer: FluxTransformer2DModel, block: nn.Module, *arguments: Any
) -> tuple[list[Tensor], Kept]:
    """The runs after one block, and what may be kept of them."""
    forward: Any = _double_block if isinstance(block, FluxTransformerBlock) else _single_block
    if torch.is_grad_enabled() and transformer.gradient_checkpointing:
        answer = transformer._gradient_checkpointing_func(forward, block, *arguments)
    else:
        answer = forward(block, *arguments)
    return cast(tuple[list[Tensor], Kept], answer)


def _embedded(transformer: FluxTransformer2DModel, branch: Branch) -> Tensor:
    return _linear(transformer.x_embedder, branch.tokens, branch.adapters)


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


def _hidden(gate: Any, x: Tensor, adapters: Weights) -> Tensor:
    """The first half of a feed-forward network."""
    hidden: Tensor = gate.gelu(_linear(gate.proj, x, adapters))
    return hidden


def _modulation(norm: Any, temb: Tensor, adapters: Weights, chunks: int) -> list[Tensor]:
    parts = _linear(norm.linear, F.silu(temb), adapters)
    return [part[:, None] for part in parts.chunk(chunks, dim=1)]


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def _heads(attn: FluxAttention, x: Tensor, adapters: Weights, added: bool = False) -> Heads:
    """One run's share in an attention; ``added``: through the layers that are the text's own."""
    if added:
        layers, norms = (
            (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj),
            (attn.norm_added_q, attn.norm_added_k),
        )
    else:
        layers, norms = (attn.to_q, attn.to_k, attn.to_v), (attn.norm_q, attn.norm_k)
    query, key, value = (
        _linear(layer, x, adapters).unflatten(-1, (-1, attn.head_dim)) for layer in layers
    )
    return norms[0](query), norms[1](key), value


def _attend(heads: list[Heads], rotary: Rotary, kept: Kept | None) -> tuple[list[Tensor], Kept]:
    """Joint attention over all runs and what is kept of others.

    Returns one (B, N, D) per run, and what may be kept of these runs.
    """
    lengths = [query.shape[1] for query, _, _ in heads]
    query, key, value = (torch.cat(parts, dim=1) for parts in zip(*heads, strict=True))
    query = apply_rotary_emb(query, rotary, sequence_dim=1)
    own = key, value = apply_rotary_emb(key, rotary, sequence_dim=1), value
    if kept:
        key, value = torch.cat([key, kept[0]], dim=1), torch.cat([value, kept[1]], dim=1)
    dtype, on_cpu = value.dtype, value.device.type == "cpu"
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    with torch.autocast(query.device.type, enabled=torch.is_autocast_enabled() and not on_cpu):
        if on_cpu:  # bf16 attention is ten times slower there than fp32
            query, key, value = query.float(), key.float(), value.float()
        joint = F.scaled_dot_product_attention(query, key, value)
    return list(joint.transpose(1, 2).flatten(2).to(dtype).split(lengths, dim=1)), own


def _layers(block: FluxTransformerBlock, text: bool) -> tuple[Any, nn.Module, nn.Module, Any]:
    """First norm, attention's output, second norm and feed-forward of one kind of run."""
    if text:
        return block.norm1_context, block.attn.to_add_out, block.norm2_context, block.ff_context
    return block.norm1, block.attn.to_out[0], block.norm2, block.ff


def _double_block(
    block: FluxTransformerBlock,
    states: list[Tensor],
    runs: list[_Run],
    rotary: Rotary,
    kept: Kept | None,
) -> tuple[list[Tensor], Kept]:
    layers = [_layers(block, run.text) for run in runs]
    mods = [
        _modulation(norm, run.temb, run.adapters, 6)
        for (norm, *_), run in zip(layers, runs, strict=True)
    ]
    heads = [
        _heads(block.attn, _modulated(norm.norm(state), *mod[:2]), run.adapters, run.text)
        for (norm, *_), state, mod, run in zip(layers, states, mods, runs, strict=True)
    ]
    attended, own = _attend(heads, rotary, kept)
    after = []
    for (_, out, norm, ff), state, mod, run, seen in zip(
        layers, states, mods, runs, attended, strict=True
    ):
        state = state + mod[2] * _linear(out, seen, run.adapters)
        hidden = _hidden(ff.net[0], _modulated(norm(state), *mod[3:5]), run.adapters)
        after.append(state + mod[5] * _linear(ff.net[2], hidden, run.adapters))
    return after, own


def _single_block(
    block: FluxSingleTransformerBlock,
    states: list[Tensor],
    runs: list[_Run],
    rotary: Rotary,
    kept: Kept | None,
) -> tuple[list[Tensor], Kept]:
    mods = [_modulation(block.norm, run.temb, run.adapters, 3) for run in runs]
    normed = [
        _modulated(block.norm.norm(state), *mod[:2])
        for state, mod in zip(states, mods, strict=True)
    ]
    heads = [_heads(block.attn, x, run.adapters) for x, run in zip(normed, runs, strict=True)]
    attended, own = _attend(heads, rotary, kept)
    after = []
    for state, x, mod, run, seen in zip(states, normed, mods, runs, attended, strict=True):
        mlp = block.act_mlp(_linear(block.proj_mlp, x, run.adapters))
        update = _linear(block.proj_out, torch.cat([seen, mlp], dim=2), run.adapters)
        after.append(state + mod[2] * update)
    return after, own
