"""Panel attention is stock attention but for the weights from the right panel to the left."""

import pytest
import torch
from diffusers.models.transformers.transformer_flux import FluxAttention, FluxAttnProcessor
from torch import Tensor

from bench.methods.backbones.panel_attention import PanelAttention, left_panel

SIDE, TEXT, HEADS, WIDTH = 3, 5, 2, 16
IMAGE = 2 * SIDE * SIDE


def test_the_left_panel_is_the_left_half_of_every_row() -> None:
    rows = left_panel(SIDE).unflatten(0, (SIDE, 2 * SIDE))
    assert rows[:, :SIDE].all() and not rows[:, SIDE:].any()


@pytest.fixture
def tokens() -> Tensor:
    """Queries, keys and values of text and of both panels."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, TEXT + IMAGE, HEADS, WIDTH, generator=generator)


def test_weights_from_right_to_left_are_multiplied_after_the_softmax(tokens: Tensor) -> None:
    query, key, value = tokens
    logits = torch.einsum("bqhd,bkhd->bhqk", query, key) / WIDTH**0.5
    weights = logits.softmax(dim=-1)
    for q in range(IMAGE):
        for k in range(IMAGE):
            if q % (2 * SIDE) >= SIDE and k % (2 * SIDE) < SIDE:
                weights[:, :, TEXT + q, TEXT + k] *= 1.3
    expected = torch.einsum("bhqk,bkhd->bqhd", weights, value)
    torch.testing.assert_close(PanelAttention(SIDE, 1.3).attend(query, key, value), expected)


def attention(context: int | None) -> FluxAttention:
    """Of a block with text of its own, or of one where text and image are one run."""
    torch.manual_seed(1)
    return FluxAttention(
        query_dim=HEADS * WIDTH,
        heads=HEADS,
        dim_head=WIDTH,
        out_dim=HEADS * WIDTH,
        bias=True,
        added_kv_proj_dim=context,
        pre_only=context is None,
    ).eval()


@pytest.mark.parametrize("apart", [True, False])
@torch.no_grad()
def test_at_factor_1_it_is_diffusers_own_processor(apart: bool) -> None:
    attn = attention(HEADS * WIDTH if apart else None)
    generator = torch.Generator().manual_seed(2)
    text, image = torch.randn(2, TEXT + IMAGE, HEADS * WIDTH, generator=generator).split(
        [TEXT, IMAGE], dim=1
    )
    angles = torch.randn(TEXT + IMAGE, WIDTH // 2, generator=generator).repeat_interleave(2, dim=1)
    rotary = (angles.cos(), angles.sin())
    given = (image, text) if apart else (torch.cat([text, image], dim=1), None)
    expected = FluxAttnProcessor()(attn, *given, image_rotary_emb=rotary)
    ours = PanelAttention(SIDE, 1.0)(attn, *given, image_rotary_emb=rotary)
    torch.testing.assert_close(ours, expected)
    harder = PanelAttention(SIDE, 1.3)(attn, *given, image_rotary_emb=rotary)
    changed = (harder[0] - expected[0]) if apart else (harder - expected)[:, TEXT:]
    moved = changed.abs().sum(dim=(0, 2)) > 1e-4
    assert torch.equal(moved, ~left_panel(SIDE))
