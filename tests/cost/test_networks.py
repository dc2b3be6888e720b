"""FLUX by formulas: what torch counts of the real class, and what is published of it."""

from typing import Any

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.facts import MINI
from bench.cost.networks import Flux


def test_a_forward_of_flux_with_a_reference_is_37_6_tflop() -> None:
    assert Flux().forward(512, 1024 + 1024) == pytest.approx(37.6e12, rel=0.02)


@pytest.mark.parametrize("guided", [True, False])
def test_flux_has_the_parameters_of_diffusers_network(guided: bool) -> None:
    with torch.device("meta"):
        network = FluxTransformer2DModel(guidance_embeds=guided)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert Flux(guidance_embeds=guided).parameters == pytest.approx(count, rel=1e-3)


SMALL = Flux(1, 2, 16, 2, 16, 32, 32)


@pytest.mark.parametrize(
    ("network", "text", "image"),
    [(MINI, 20, 64), (MINI, 20, 128), (SMALL, 16, 25), (Flux(1, 1), 512, 1024)],
)
def test_operations_are_those_that_torch_counts(network: Flux, text: int, image: int) -> None:
    """Small ones too, where modulation matters."""
    assert network.forward(text, image) == pytest.approx(counted(network, text, image), rel=0.01)


def counted(network: Flux, text: int, image: int) -> int:
    """Of one pass through diffusers' class at these sizes."""
    sizes: dict[str, Any] = dict(network.__dict__)
    rotary = network.attention_head_dim // 4
    axes = (network.attention_head_dim - 2 * rotary, rotary, rotary)
    with torch.device("meta"):
        real = FluxTransformer2DModel(**sizes, axes_dims_rope=axes)
        inputs = (
            torch.zeros(1, image, network.in_channels),
            torch.zeros(1, text, network.joint_attention_dim),
            torch.zeros(1, network.pooled_projection_dim),
            torch.zeros(1),
            torch.zeros(image, 3),
            torch.zeros(text, 3),
            torch.zeros(1) if network.guidance_embeds else None,
        )
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            real(*inputs)
    return int(counter.get_total_flops())


def test_ominicontrols_lora_has_14_49_million_parameters() -> None:
    assert Flux().adapter(4) == pytest.approx(14.49e6, rel=1e-3)
    assert Flux().adapter(16) == 4 * Flux().adapter(4)
