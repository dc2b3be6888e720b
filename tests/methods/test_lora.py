"""Adapter files: to and from diffusers, side by side, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from bench.errors import UserError
from bench.methods.backbones.backbone import Condition, Tokens
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.lora import TARGETS

AddTrained = Callable[..., None]


@pytest.fixture
def saved(flux: FluxBackbone, add_trained: AddTrained, tmp_path: Path) -> Path:
    add_trained(flux, "sft", rank=4, seed=1)
    path = tmp_path / "sft.safetensors"
    flux.save_adapter("sft", path)
    return path


def test_a_stock_pipeline_loads_what_we_save_and_computes_the_same(
    flux: FluxBackbone, stock: FluxPipeline, saved: Path
) -> None:
    stock.load_lora_weights(saved.parent, weight_name=saved.name, adapter_name="sft")
    adapted: dict[str, Any] = {
        path: layer
        for path, layer in stock.transformer.named_modules()
        if isinstance(layer, LoraLayer)
    }
    ours = flux.adapter_parameters("sft")
    assert len(adapted) * 2 == len(ours)
    for path, layer in adapted.items():
        x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
        a, b = (ours[f"{path}.lora_{side}.sft.weight"] for side in "AB")
        expected = layer.base_layer(x) + x @ a.T @ b.T
        torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("metadata", [True, False])
def test_a_saved_adapter_comes_back_bit_for_bit(
    flux: FluxBackbone, saved: Path, metadata: bool
) -> None:
    if not metadata:  # as OminiControl writes them: alpha is taken to be the rank
        save_file(load_file(saved), saved)
    flux.load_adapter("again", saved)
    again = flux.adapter_parameters("again")
    for path, parameter in flux.adapter_parameters("sft").items():
        same = again[path.replace(".sft.", ".again.")]
        assert torch.equal(same, parameter), path
        assert same.dtype == torch.float32 and not same.requires_grad
    for layer in flux.transformer.modules():
        if isinstance(layer, LoraLayer):
            assert layer.scaling == {"sft": 1.0, "again": 1.0}


def test_adapters_of_different_ranks_stand_side_by_side(
    flux: FluxBackbone, saved: Path, add_trained: AddTrained, tmp_path: Path
) -> None:
    before = saved.read_bytes()
    add_trained(flux, "sfo", rank=16, seed=2)
    for _ in range(8):
        flux.save_adapter("sft", saved)
        assert saved.read_bytes() == before
    flux.save_adapter("sfo", tmp_path / "sfo.safetensors")
    tensors = load_file(tmp_path / "sfo.safetensors")
    assert {tensor.shape[0] for key, tensor in tensors.items() if "lora_A" in key} == {16}


def test_the_same_seed_gives_the_same_adapter_and_leaves_the_global_generator_alone(
    mini: FluxBackbone,
) -> None:
    state = torch.get_rng_state()
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        mini.add_adapter(name, 4, seed)
    assert torch.equal(torch.get_rng_state(), state)
    one, same, other = (
        [value for path, value in mini.adapter_parameters(name).items() if "lora_A" in path]
        for name in ("one", "same", "other")
    )
    assert all(map(torch.equal, one, same))
    assert not any(map(torch.equal, one, other))


def test_the_adapted_layers_are_ominicontrols(flux: FluxBackbone) -> None:
    flux.add_adapter("sft", 4, seed=0)
    layers = {path.split(".lora_")[0] for path in flux.adapter_parameters("sft")}
    double = ("norm1.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "ff.net.2")
    single = ("norm.linear", "proj_mlp", "proj_out", "attn.to_q", "attn.to_k", "attn.to_v")
    assert layers == {
        "x_embedder",
        *(f"transformer_blocks.{i}.{layer}" for i in range(2) for layer in double),
        *(f"single_transformer_blocks.{i}.{layer}" for i in range(2) for layer in single),
    }
    assert "context" not in TARGETS and "add_" not in TARGETS


def test_nothing_is_trainable_after_adding_or_loading(flux: FluxBackbone, saved: Path) -> None:
    flux.add_adapter("sfo", 4, seed=0)
    flux.load_adapter("again", saved)
    assert not any(parameter.requires_grad for parameter in flux.transformer.parameters())


def test_half_of_a_factor_is_one_clear_sentence(flux: FluxBackbone, saved: Path) -> None:
    tensors = load_file(saved)
    del tensors["transformer.x_embedder.lora_B.weight"]
    save_file(tensors, saved)
    with pytest.raises(UserError, match="lacks halves of its factors"):
        flux.load_adapter("again", saved)


def test_a_missing_file_is_one_clear_sentence(flux: FluxBackbone, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read the adapter .*none\.safetensors"):
        flux.load_adapter("sft", tmp_path / "none.safetensors")


def test_a_truncated_file_is_one_clear_sentence(flux: FluxBackbone, saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"Cannot read the adapter .*sft\.safetensors"):
        flux.load_adapter("again", saved)


def test_safetensors_without_a_lora_are_refused(flux: FluxBackbone, tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    save_file({"decoder.conv_in.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UserError, match="holds no LoRA for a FLUX transformer"):
        flux.load_adapter("sft", path)


def test_a_lora_on_the_text_stream_is_refused(flux: FluxBackbone, saved: Path) -> None:
    """Its delta would reach tokens that no adapter may touch."""
    layer = "transformer.transformer_blocks.0.attn.add_q_proj"
    tensors = load_file(saved)
    tensors |= {f"{layer}.lora_A.weight": torch.zeros(4, 32)}
    tensors |= {f"{layer}.lora_B.weight": torch.zeros(32, 4)}
    save_file(tensors, saved)
    with pytest.raises(UserError, match=r"adapts more than the image stream .*add_q_proj"):
        flux.load_adapter("again", saved)


def test_a_lora_for_another_network_is_refused_and_leaves_no_trace(
    mini: FluxBackbone, flux: FluxBackbone, saved: Path
) -> None:
    with pytest.raises(UserError, match="made for another backbone"):
        mini.load_adapter("sft", saved)
    assert not mini.adapter_parameters("sft")
    mini.add_adapter("sft", 4, seed=0)


def test_a_lora_for_a_deeper_network_is_refused(flux: FluxBackbone, saved: Path) -> None:
    tensors = load_file(saved)
    tensors |= {
        key.replace("single_transformer_blocks.1", "single_transformer_blocks.2"): tensor.clone()
        for key, tensor in tensors.items()
    }
    save_file(tensors, saved)
    with pytest.raises(UserError, match=r"another backbone .*single_transformer_blocks\.2"):
        flux.load_adapter("again", saved)


@pytest.mark.parametrize(("tokens", "changes"), [("reference", False), ("image", True)])
def test_an_adapter_acts_on_the_image_only_where_it_was_put_there(
    mini: FluxBackbone, tokens: Tokens, changes: bool
) -> None:
    mini.add_adapter("other", rank=2, seed=0, tokens=tokens)
    for parameter in mini.adapter_parameters("other").values():
        torch.nn.init.normal_(parameter)
    x = mini.noise([torch.Generator().manual_seed(0)])
    condition = Condition(mini.encode_prompts(["a mug"]), None)
    without, t = mini.predict(x, torch.tensor([0.5]), condition), torch.tensor([0.5])
    adapted = mini.predict(x, t, condition, {"other": 1.0})
    assert torch.equal(adapted, without) is not changes


def test_an_adapter_that_is_not_there_is_an_error(mini: FluxBackbone) -> None:
    x = mini.noise([torch.Generator().manual_seed(0)])
    condition = Condition(mini.encode_prompts(["a mug"]), None)
    with pytest.raises(ValueError, match="no such adapter on the backbone: sfo"):
        mini.predict(x, torch.tensor([0.5]), condition, {"sfo": 1.0})
