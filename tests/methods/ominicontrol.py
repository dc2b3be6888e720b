"""OminiControl's forward pass, written anew the plain way: branch by branch, under a mask."""

import copy
import math
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor
from torch.nn import functional as F

from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import Conditioning, FluxBackbone, position_ids

Question = tuple[Tensor, Tensor, Condition]
"""Noisy images, timesteps and a condition with references."""
Heads = tuple[Tensor, Tensor, Tensor]


def merged(stock: FluxTransformer2DModel, flux: FluxBackbone, weights: dict[str, float]) -> Any:
    """A copy of the stock network with the adapters added to its weights."""
    network = copy.deepcopy(stock)
    for name, weight in weights.items():
        factors = flux.adapter_parameters(name)
        for path, a in factors.items():
            if ".lora_A." in path:
                b = factors[path.replace(".lora_A.", ".lora_B.")]
                layer = network.get_submodule(path.split(".lora_A.")[0])
                layer.weight.data += weight * (b @ a)
    return network


def rotate(x: Tensor, ids: Tensor) -> Tensor:
    """Rotary positions for the tiny FLUX's axes, by complex numbers; x (B, N, heads, D)."""
    angles = []
    for axis, dim in enumerate((4, 6, 6)):
        frequencies = 10_000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angles.append(ids[:, axis, None].double() * frequencies)
    turn = torch.polar(torch.ones(len(ids), 8, dtype=torch.float64), torch.cat(angles, dim=1))
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turn[None, :, None]).flatten(-2).to(x.dtype)


def attend(branches: list[Heads], allowed: Tensor) -> list[Tensor]:
    """One attention per query branch over all keys and values; ``allowed`` (N, N) masks pairs."""
    queries, keys, values = zip(*branches, strict=True)
    key, value = torch.cat(keys, dim=1), torch.cat(values, dim=1)
    answers, masks = [], allowed.split([query.shape[1] for query in queries])
    for query, mask in zip(queries, masks, strict=True):
        scores = torch.einsum("bnhd,bmhd->bhnm", query, key) / math.sqrt(query.shape[-1])
        scores = scores.masked_fill(~mask, -math.inf)
        answers.append(torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), value).flatten(2))
    return answers


def mask(tokens: list[Tensor], independent: bool) -> Tensor:
    """Who sees whom: everybody, but that an independent reference sees itself alone."""
    total, reference = sum(run.shape[1] for run in tokens), tokens[-1].shape[1]
    allowed = torch.ones(total, total, dtype=torch.bool)
    allowed[-reference:, :-reference] = not independent
    return allowed


def heads(attn: Any, x: Tensor, ids: Tensor, added: bool = False) -> Heads:
    names = ("add_q_proj", "add_k_proj", "add_v_proj") if added else ("to_q", "to_k", "to_v")
    norms = ("norm_added_q", "norm_added_k") if added else ("norm_q", "norm_k")
    q, k, v = (getattr(attn, name)(x).unflatten(-1, (2, 16)) for name in names)
    return rotate(getattr(attn, norms[0])(q), ids), rotate(getattr(attn, norms[1])(k), ids), v


def by_branch(
    networks: list[Any],
    tokens: list[Tensor],
    ids: list[Tensor],
    tembs: list[Tensor],
    allowed: Tensor,
) -> Tensor:
    """Velocity of the image. Branches: text, image, reference, each with its own network."""
    states = list(tokens)
    for i in range(2):
        blocks = [network.transformer_blocks[i] for network in networks]
        norms = [block.norm1 for block in blocks]
        norms[0] = blocks[0].norm1_context
        mods = [norm(x, emb=temb) for norm, x, temb in zip(norms, states, tembs, strict=True)]
        qkv = [
            heads(block.attn, mod[0], own, added=branch == 0)
            for branch, (block, mod, own) in enumerate(zip(blocks, mods, ids, strict=True))
        ]
        attended = attend(qkv, allowed)
        for branch, (block, mod) in enumerate(zip(blocks, mods, strict=True)):
            out = block.attn.to_add_out if branch == 0 else block.attn.to_out[0]
            norm2 = block.norm2_context if branch == 0 else block.norm2
            ff = block.ff_context if branch == 0 else block.ff
            _, gate, shift, scale, gate_mlp = mod
            x = states[branch] + gate[:, None] * out(attended[branch])
            hidden = norm2(x) * (1 + scale[:, None]) + shift[:, None]
            states[branch] = x + gate_mlp[:, None] * ff(hidden)
    for i in range(2):
        blocks = [network.single_transformer_blocks[i] for network in networks]
        mods = [b.norm(x, emb=temb) for b, x, temb in zip(blocks, states, tembs, strict=True)]
        qkv = [heads(b.attn, m[0], own) for b, m, own in zip(blocks, mods, ids, strict=True)]
        attended = attend(qkv, allowed)
        for branch, (block, (normed, gate)) in enumerate(zip(blocks, mods, strict=True)):
            mlp = F.gelu(block.proj_mlp(normed), approximate="tanh")
            update = block.proj_out(torch.cat([attended[branch], mlp], dim=-1))
            states[branch] = states[branch] + gate[:, None] * update
    image = networks[1]
    velocity: Tensor = image.proj_out(image.norm_out(states[1], tembs[1]))
    return velocity


def reference_velocity(
    stock: Any, adapted: Any, question: Question, conditioning: Conditioning
) -> Tensor:
    x, t, condition = question
    text, reference = condition.text, condition.reference
    assert reference is not None
    ones = torch.ones(2)
    noisy = stock.time_text_embed(t * 1000, 3.5 * ones * 1000, text.pooled)
    clean = adapted.time_text_embed(0 * ones, ones * 1000, text.pooled)
    image_ids = position_ids(4)
    columns = {"left": -4, "right": 4}[conditioning.position]
    tokens = [stock.context_embedder(text.tokens), stock.x_embedder(x)]
    tokens.append(adapted.x_embedder(reference))
    return by_branch(
        [stock, stock, adapted],
        tokens,
        [torch.zeros(16, 3), image_ids, image_ids + torch.tensor([0, 0, columns])],
        [noisy, noisy, clean],
        mask(tokens, conditioning.independent),
    )
