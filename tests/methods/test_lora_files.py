"""The forms in which adapters come: official ones, with an alpha, of other people's scripts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bench.errors import UserError
from bench.methods.backbones.flux import FluxBackbone

AddTrained = Callable[..., None]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")


@pytest.fixture
def saved(flux: FluxBackbone, add_trained: AddTrained, tmp_path: Path) -> Path:
    add_trained(flux, "sft", rank=4, seed=1)
    path = tmp_path / "sft.safetensors"
    flux.save_adapter("sft", path)
    return path


def test_official_files_are_read_and_written_under_their_own_names(
    flux: FluxBackbone, saved: Path, tmp_path: Path
) -> None:
    """OminiControl's: rank 16 in newer ones, a prefix, neither an adapter's name nor an alpha."""
    generator = torch.Generator().manual_seed(5)
    official = {}
    for key, tensor in load_file(saved).items():
        shape = (16, tensor.shape[1]) if ".lora_A." in key else (tensor.shape[0], 16)
        official[key] = torch.randn(shape, generator=generator).bfloat16()
    assert "transformer.transformer_blocks.0.attn.to_out.0.lora_A.weight" in official
    assert "transformer.single_transformer_blocks.1.proj_mlp.lora_B.weight" in official
    save_file(official, tmp_path / "subject_512.safetensors")
    flux.load_adapter("subject", tmp_path / "subject_512.safetensors")
    flux.save_adapter("subject", tmp_path / "again.safetensors")
    again = load_file(tmp_path / "again.safetensors")
    assert again.keys() == official.keys()
    assert all(torch.equal(again[key], official[key].float()) for key in official)
    assert scales(flux, "subject") == {1.0}


def test_two_adapters_are_two_files_that_a_stock_pipeline_adds_up(
    flux: FluxBackbone, stock: FluxPipeline, add_trained: AddTrained, tmp_path: Path
) -> None:
    """As SFO leaves them: its own of rank 16 beside SFT's of rank 4."""
    for name, rank in (("sft", 4), ("sfo", 16)):
        add_trained(flux, name, rank=rank, seed=rank)
        flux.save_adapter(name, tmp_path / f"{name}.safetensors")
        stock.load_lora_weights(tmp_path, weight_name=f"{name}.safetensors", adapter_name=name)
    stock.set_adapters(["sft", "sfo"], [1.0, 0.5])
    x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    block = stock.transformer.transformer_blocks[1]
    expected = block.attn.to_q(x) - block.attn.to_q.base_layer(x)
    ours = x.new_zeros(3, 32)
    for name, weight in (("sft", 1.0), ("sfo", 0.5)):
        factors = flux.adapter_parameters(name)
        a, b = (
            factors[f"transformer_blocks.1.attn.to_q.lora_{side}.{name}.weight"] for side in "AB"
        )
        ours += weight * (x @ a.T @ b.T)
    torch.testing.assert_close(expected, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", ["header", "beside the weights"])
def test_an_alpha_that_is_not_the_rank_counts(
    flux: FluxBackbone, stock: FluxPipeline, saved: Path, place: str
) -> None:
    """Twice the rank is twice the strength, to us as to diffusers."""
    tensors, header = load_file(saved), None
    if place == "header":
        header = with_alpha(saved, 8)
    else:
        layers = {key.split(".lora_")[0] for key in tensors}
        tensors |= {f"{layer}.alpha": torch.tensor(8.0) for layer in layers}
    save_file(tensors, saved, header)
    flux.load_adapter("strong", saved)
    stock.load_lora_weights(saved.parent, weight_name=saved.name, adapter_name="strong")
    theirs = adapted(stock)
    assert len(theirs) == 25
    for path, layer in theirs.items():
        ours = flux.transformer.get_submodule(path)
        assert delta(ours, "strong") == pytest.approx(delta(layer, "strong"), rel=1e-5)
        assert delta(ours, "strong") == pytest.approx(2 * delta(ours, "sft"), rel=1e-5)


def test_an_alpha_in_the_header_outlives_saving(
    flux: FluxBackbone, saved: Path, tmp_path: Path
) -> None:
    save_file(load_file(saved), saved, with_alpha(saved, 8))
    flux.load_adapter("strong", saved)
    flux.save_adapter("strong", tmp_path / "again.safetensors")
    flux.load_adapter("again", tmp_path / "again.safetensors")
    assert scales(flux, "strong") == scales(flux, "again") == {2.0}


def test_each_layer_may_have_an_alpha_of_its_own_beside_its_weights(
    flux: FluxBackbone, saved: Path
) -> None:
    layer = "transformer.transformer_blocks.0.attn.to_q"
    save_file(load_file(saved) | {f"{layer}.alpha": torch.tensor(1.0)}, saved)
    flux.load_adapter("mixed", saved)
    for path, share in (("attn.to_q", 1 / 4), ("attn.to_k", 1)):
        module = flux.transformer.transformer_blocks[0].get_submodule(path)
        assert delta(module, "mixed") == pytest.approx(share * delta(module, "sft"), rel=1e-5)


def test_a_file_of_kohyas_scripts_is_read_as_diffusers_reads_it(
    flux: FluxBackbone, stock: FluxPipeline, tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(3)
    factors = {
        "img_attn_qkv": ((4, 32), (96, 4)),
        "img_attn_proj": ((4, 32), (32, 4)),
        "img_mod_lin": ((4, 32), (192, 4)),
        "img_mlp_2": ((4, 128), (32, 4)),
    }
    tensors = {}
    for layer, (down, up) in factors.items():
        name = f"lora_unet_double_blocks_0_{layer}"
        tensors[f"{name}.lora_down.weight"] = torch.randn(down, generator=generator)
        tensors[f"{name}.lora_up.weight"] = torch.randn(up, generator=generator)
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    save_file(tensors, tmp_path / "kohya.safetensors")
    flux.load_adapter("kohya", tmp_path / "kohya.safetensors")
    stock.load_lora_weights(tmp_path, weight_name="kohya.safetensors", adapter_name="kohya")
    theirs = adapted(stock)
    assert len(theirs) == 6
    for path, layer in theirs.items():
        ours = delta(flux.transformer.get_submodule(path), "kohya")
        assert ours == pytest.approx(delta(layer, "kohya"), rel=1e-5)


def test_alphas_in_two_places_are_one_clear_sentence(flux: FluxBackbone, saved: Path) -> None:
    tensors = load_file(saved) | {"transformer.x_embedder.alpha": torch.tensor(4.0)}
    save_file(tensors, saved, with_alpha(saved, 4))
    with pytest.raises(UserError, match="states alpha in its header and beside its weights"):
        flux.load_adapter("again", saved)


def test_a_header_that_fits_other_weights_is_one_clear_sentence(
    flux: FluxBackbone, saved: Path
) -> None:
    header = {key: text.replace('r": 4', 'r": 8') for key, text in with_alpha(saved, 8).items()}
    save_file(load_file(saved), saved, header)
    with pytest.raises(UserError, match="holds other weights than its header states"):
        flux.load_adapter("again", saved)
    assert not flux.adapter_parameters("again")


def test_names_that_nobody_knows_are_one_clear_sentence(flux: FluxBackbone, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"transformer.x_embedder.alpha": torch.tensor(4)}, path)
    with pytest.raises(UserError, match="names its weights as no FLUX LoRA that diffusers knows"):
        flux.load_adapter("odd", path)


# --- helpers --------------------------------------------------------------------------------------


def scales(flux: FluxBackbone, name: str) -> set[float]:
    return {m.scaling[name] for m in flux.transformer.modules() if isinstance(m, LoraLayer)}


def adapted(stock: FluxPipeline) -> dict[str, Any]:
    modules = stock.transformer.named_modules()
    return {path: module for path, module in modules if isinstance(module, LoraLayer)}


def delta(layer: Any, name: str) -> Any:
    """What an adapter adds to a layer's weights."""
    change = layer.lora_B[name].weight @ layer.lora_A[name].weight * layer.scaling[name]
    return change.detach().numpy()


def with_alpha(saved: Path, alpha: int) -> dict[str, str]:
    """The header of a saved adapter, its alpha another."""
    with safe_open(saved, "pt") as file:
        (entry,) = file.metadata().items()
    config = json.loads(entry[1]) | {"transformer.lora_alpha": alpha}
    return {entry[0]: json.dumps(config)}
