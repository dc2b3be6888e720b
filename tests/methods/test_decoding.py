"""Decoders save memory, and what they decode and its gradients stay the same."""

import pytest
import torch
from torch import Tensor

from bench.methods.backbones.decoding import Decoding
from bench.methods.backbones.sana import DcCodec
from bench.methods.backbones.unet import Codec, KlCodec
from tests.methods.tiny_sdxl import tiny_vae
from tests.methods.tiny_text_backbones import tiny_dc


@pytest.fixture(params=["kl", "dc"])
def codec(request: pytest.FixtureRequest) -> Codec:
    torch.manual_seed(0)
    return KlCodec(tiny_vae()) if request.param == "kl" else DcCodec(tiny_dc())


def gradient(codec: Codec, latents: Tensor) -> Tensor:
    asked = latents.clone().requires_grad_()
    codec.decode(asked).square().sum().backward()
    assert asked.grad is not None
    return asked.grad


def test_checkpoints_compute_blocks_again_to_the_same_gradients(codec: Codec) -> None:
    latents, calls = torch.randn(1, 4, 8, 8), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    first = next(
        module for module in codec.vae.decoder.up_blocks[0].modules() if not [*module.children()]
    )
    first.register_forward_hook(count)
    plain = gradient(codec, latents)
    Decoding(checkpoints=True).apply(codec.vae)
    assert torch.equal(gradient(codec, latents), plain) and calls == 3
    Decoding().apply(codec.vae)
    gradient(codec, latents)
    assert calls == 4


def test_slices_decode_one_image_at_a_time(codec: Codec) -> None:
    latents, sizes = torch.randn(3, 4, 8, 8), []
    codec.vae.decoder.conv_in.register_forward_hook(
        lambda _, given, __: sizes.append(len(given[0]))
    )
    plain = codec.decode(latents)
    Decoding(slices=True).apply(codec.vae)
    torch.testing.assert_close(codec.decode(latents), plain, rtol=0, atol=1e-5)
    assert sizes == [3, 1, 1, 1]


def test_tiles_are_an_option(codec: Codec) -> None:
    Decoding(tiles=True).apply(codec.vae)
    assert codec.vae.use_tiling
    Decoding().apply(codec.vae)
    assert not codec.vae.use_tiling
