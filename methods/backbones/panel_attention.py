"""Attention of FLUX in which one panel of a diptych looks harder at the other.

Source: Diptych Prompting (arXiv 2411.15466) and its released code.
"""

import torch
from diffusers.models.embeddings import apply_rotary_emb
from diffusers.models.transformers.transformer_flux import FluxAttention
from torch import Tensor
from torch.nn import functional as F

Heads = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, (B, S, heads, D) each."""


def left_panel(side: int) -> Tensor:
    """Which tokens of a diptych are its left panel's, (2 * side * side,), row by row."""
    return (torch.arange(2 * side) < side).repeat(side)


class PanelAttention:
    """A processor that multiplies what right-hand queries give to left-hand keys.

    ``side``: tokens along a panel. The factor comes after the softmax, and weights are not
    normalised again, as in the authors' code: they add up to more than one.
    """

    def __init__(self, side: int, factor: float) -> None:
        self.side, self.factor = side, factor

    def __call__(
        self,
        attn: FluxAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """As diffusers' own processor: image tokens, and text tokens where they come apart."""
        heads = [_image_heads(attn, hidden_states)]
        if encoder_hidden_states is not None:
            heads.insert(0, _text_heads(attn, encoder_hidden_states))
        query, key, value = (torch.cat(parts, dim=1) for parts in zip(*heads, strict=True))
        query = apply_rotary_emb(query, image_rotary_emb, sequence_dim=1)
        key = apply_rotary_emb(key, image_rotary_emb, sequence_dim=1)
        joint = self.attend(query, key, value).flatten(2)
        if encoder_hidden_states is None:
            return joint
        image, text = joint[:, -hidden_states.shape[1] :], joint[:, : -hidden_states.shape[1]]
        return attn.to_out[1](attn.to_out[0](image)), attn.to_add_out(text)

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, S, heads, D) from three of that shape; the last tokens are the diptych's.

        Weights that are multiplied after the softmax are as good as values that are multiplied.
        """
        left = left_panel(self.side).to(value.device)
        of_text = query.shape[1] - len(left)
        scales = F.pad(torch.where(left, self.factor, 1.0), (of_text, 0), value=1.0)
        right = F.pad(~left, (of_text, 0), value=False)
        mixed = torch.empty_like(query)
        mixed[:, ~right] = _attention(query[:, ~right], key, value)
        harder = value * scales.to(value.dtype)[:, None, None]
        mixed[:, right] = _attention(query[:, right], key, harder)
        return mixed


def _image_heads(attn: FluxAttention, x: Tensor) -> Heads:
    """Those of all tokens, in blocks where text and image share their layers."""
    query, key, value = (_split(attn, layer(x)) for layer in (attn.to_q, attn.to_k, attn.to_v))
    return attn.norm_q(query), attn.norm_k(key), value


def _text_heads(attn: FluxAttention, x: Tensor) -> Heads:
    layers = (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
    query, key, value = (_split(attn, layer(x)) for layer in layers)
    return attn.norm_added_q(query), attn.norm_added_k(key), value


def _split(attn: FluxAttention, x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, attn.head_dim))


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
