"""Adapter files of UNets: to and from diffusers' pipelines, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import UserError
from bench.methods.backbones.backbone import Tokens
from bench.methods.backbones.sdxl import SdxlBackbone
from tests.methods.tiny_sdxl import (
    PHOTOGRAPH,
    add_trained,
    answered,
    asked,
    drawn,
    seeded,
    stock,
)

pytest_plugins = ["tests.methods.sdxl_fixtures"]


@pytest.mark.parametrize("tokens", ["reference", "image"])
def test_a_stock_pipeline_loads_what_we_save_and_draws_the_same(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path, tokens: Tokens
) -> None:
    add_trained(sdxl, "sfo", tokens)
    path = tmp_path / "sfo.safetensors"
    sdxl.save_adapter("sfo", path)
    pipeline = stock(sdxl_home)
    pipeline.set_ip_adapter_scale(0.6)
    noise = sdxl.noise(seeded(3))
    without = drawn(pipeline, noise, 5.0, ip_adapter_image=PHOTOGRAPH)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name, adapter_name="sfo")
    expected = drawn(pipeline, noise, 5.0, ip_adapter_image=PHOTOGRAPH)
    ours = sdxl.decode(sdxl.sample(asked(sdxl), noise, {"sfo": 1.0}, steps=4, guidance=5.0))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (expected - without).abs().max() > 1e-3


def test_what_a_stock_pipeline_saves_is_loaded_and_ours_has_its_names(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path
) -> None:
    add_trained(sdxl, "sfo")
    sdxl.save_adapter("sfo", tmp_path / "ours.safetensors")
    saved = load_file(tmp_path / "ours.safetensors")
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers={key.removeprefix("unet."): value for key, value in saved.items()},
        weight_name="theirs.safetensors",
    )
    assert load_file(tmp_path / "theirs.safetensors").keys() == saved.keys()
    sdxl.load_adapter("again", tmp_path / "theirs.safetensors", "image")
    assert torch.equal(answered(sdxl, {"again": 1.0}), answered(sdxl, {"sfo": 1.0}))
    assert not any(parameter.requires_grad for parameter in sdxl.unet.parameters())


def test_saving_twice_gives_the_same_bytes(sdxl: SdxlBackbone, tmp_path: Path) -> None:
    add_trained(sdxl, "sfo")
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    sdxl.save_adapter("sfo", first)
    sdxl.load_adapter("again", first, "image")
    sdxl.save_adapter("again", second)
    assert second.read_bytes() == first.read_bytes()


Damage = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tensors: {"decoder": torch.zeros(2)}, "holds no LoRA in diffusers' form"),
        (lambda tensors: {key: v.repeat(2, 2) for key, v in tensors.items()}, "another backbone"),
        (
            lambda tensors: {
                key.replace("processor.to_k_ip.0", "to_k"): v for key, v in tensors.items()
            },
            "tokens=reference does not name",
        ),
        (
            lambda tensors: {key: v for key, v in tensors.items() if "lora_A" in key},
            "lacks halves",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_and_leave_no_trace(
    sdxl: SdxlBackbone, tmp_path: Path, damage: Damage, said: str
) -> None:
    path = tmp_path / "sfo.safetensors"
    sdxl.add_adapter("sfo", 4, 0)
    sdxl.save_adapter("sfo", path)
    save_file(damage(load_file(path)), path)
    with pytest.raises(UserError, match=said):
        sdxl.load_adapter("again", path)
    assert not sdxl.adapter_parameters("again")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_file_that_cannot_be_read_is_one_clear_sentence(
    sdxl: SdxlBackbone, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "sfo.safetensors"
    sdxl.add_adapter("sfo", 4, 0)
    sdxl.save_adapter("sfo", path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"Cannot read the adapter .*sfo\.safetensors"):
        sdxl.load_adapter("again", path)
