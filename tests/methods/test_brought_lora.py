"""LoRAs that other code made draw here what they draw in diffusers' own pipelines."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import UserError
from bench.methods.backbones import sana, sd15
from bench.methods.backbones.backbone import Condition, Weights
from bench.methods.backbones.flux import FluxBackbone, unpack
from bench.methods.backbones.lora import METADATA
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.backbones.unet import UnetBackbone
from tests.methods import tiny_sdxl
from tests.methods import tiny_text_backbones as tiny
from tests.methods.conftest import MAX_TEXT, RESOLUTION
from tests.methods.tiny_loras import ATTENTION, FLUX, WIDE, diffusers_file, factors, kohya_file
from tests.methods.tiny_sdxl import PROMPT, seeded

pytest_plugins = ["tests.methods.sdxl_fixtures"]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")
BROUGHT: Weights = {"brought": 1.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random weights of SD 1.5 and of SANA."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    tiny.tiny_sd("sd15").save_pretrained(home / "weights" / "sd15")
    tiny.tiny_sana("sana").save_pretrained(home / "weights" / "sana")
    return home


@pytest.fixture
def backbone(home: Path, monkeypatch: pytest.MonkeyPatch) -> UnetBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    return sd15.load(tiny.SIDE)


@pytest.fixture
def pipeline(home: Path) -> Any:
    return tiny.stock("sd15", home)


def ours(backbone: UnetBackbone, noise: Tensor, weights: Weights) -> Tensor:
    condition = Condition(backbone.encode_prompts([PROMPT]), None)
    latents = backbone.sample(condition, noise, weights, tiny.STEPS, 5.0)
    images: Tensor = backbone.decode(latents)
    return images


@pytest.mark.parametrize("naming", ["diffusers", "kohya"])
def test_a_lora_on_any_layer_draws_what_the_stock_pipeline_draws(
    backbone: UnetBackbone, pipeline: Any, tmp_path: Path, naming: str
) -> None:
    made, path = factors(pipeline.unet, WIDE), tmp_path / "lora.safetensors"
    diffusers_file(made, "unet", path) if naming == "diffusers" else kohya_file(made, 2.0, path)
    backbone.bring_adapter("brought", path)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name)
    noise = backbone.noise(seeded(3))
    expected = tiny.drawn(pipeline, noise, 5.0)
    torch.testing.assert_close(ours(backbone, noise, BROUGHT), expected, rtol=0, atol=1e-5)
    assert (ours(backbone, noise, {}) - expected).abs().max() > 1e-2


def test_alpha_in_a_files_header_counts(
    backbone: UnetBackbone, pipeline: Any, tmp_path: Path
) -> None:
    """As diffusers' training scripts have written it since they state their configuration."""
    made, config = factors(pipeline.unet, ATTENTION), {"r": 4, "lora_alpha": 12}
    header = {METADATA: json.dumps({f"unet.{k}": v for k, v in config.items()})}
    header = {METADATA: header[METADATA][:-1] + ', "unet.target_modules": ["to_q", "to_k"]}'}
    kept = {f"unet.{k}": v for k, v in made.items() if ".to_q." in k or ".to_k." in k}
    save_file(kept, tmp_path / "lora.safetensors", header)
    backbone.bring_adapter("brought", tmp_path / "lora.safetensors")
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    noise = backbone.noise(seeded(3))
    expected = tiny.drawn(pipeline, noise, 5.0)
    torch.testing.assert_close(ours(backbone, noise, BROUGHT), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("naming", ["diffusers", "original"])
def test_on_sdxl_it_acts_beside_the_image_prompt(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path, naming: str
) -> None:
    """Many LoRAs of SD-XL name blocks as its first release did, which diffusers maps to its own."""
    pipeline, path = tiny_sdxl.stock(sdxl_home, None), tmp_path / "lora.safetensors"
    made = factors(pipeline.unet, ATTENTION)
    diffusers_file(made, "unet", path)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name)
    if naming == "original":
        save_file(renamed(load_file(kohya_file(made, 4.0, path))), path)
    sdxl.bring_adapter("brought", path)
    noise, condition = sdxl.noise(seeded(3)), Condition(sdxl.encode_prompts([PROMPT]), None)
    expected = tiny_sdxl.drawn(pipeline, noise, 5.0)
    drawn = sdxl.decode(sdxl.sample(condition, noise, BROUGHT, 4, 5.0))
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-5)


def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    original = {
        "down_blocks_1_attentions_0": "input_blocks_3_1",
        "mid_block_attentions_0": "middle_block_1",
        "up_blocks_0_attentions_0": "output_blocks_0_1",
        "up_blocks_0_attentions_1": "output_blocks_1_1",
    }
    found = {}
    for key, value in tensors.items():
        [block] = [block for block in original if block in key]
        found[key.replace(block, original[block])] = value
    return found


def test_sanas_are_read_under_diffusers_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    backbone, pipeline = sana.load(tiny.SIDE), tiny.stock("sana", home)
    made = factors(pipeline.transformer, r".*\.attn[12]\.to_[qkv]|.*\.to_out\.0|.*\.linear_2")
    path = diffusers_file(made, "transformer", tmp_path / "lora.safetensors")
    backbone.bring_adapter("brought", path)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name)
    noise = backbone.noise(seeded(3))
    expected = tiny.drawn(pipeline, noise, 5.0)
    torch.testing.assert_close(ours(backbone, noise, BROUGHT), expected, rtol=0, atol=1e-4)
    assert (ours(backbone, noise, {}) - expected).abs().max() > 1e-3


def test_on_flux_it_acts_on_the_prompts_tokens_too(
    flux: FluxBackbone, stock: FluxPipeline, tmp_path: Path
) -> None:
    path = diffusers_file(
        factors(stock.transformer, FLUX), "transformer", tmp_path / "lora.safetensors"
    )
    flux.bring_adapter("brought", path)
    stock.load_lora_weights(tmp_path, weight_name=path.name)
    stock.set_adapters(["default_0"], [0.7])
    noise = flux.noise(seeded(3))
    latents = unpack(noise, flux.codec.patch)
    expected = stock(
        PROMPT,
        latents=FluxPipeline._pack_latents(latents, *latents.shape),
        height=RESOLUTION,
        width=RESOLUTION,
        num_inference_steps=3,
        guidance_scale=3.5,
        max_sequence_length=MAX_TEXT,
        output_type="pt",
    ).images
    condition = Condition(flux.encode_prompts([PROMPT]), None)
    drawn = flux.decode(flux.sample(condition, noise, {"brought": 0.7}, 3, 3.5))
    plain = flux.decode(flux.sample(condition, noise, {}, 3, 3.5))
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-4)
    assert (plain - expected).abs().max() > 1e-2


def test_another_may_come_in_its_place(
    backbone: UnetBackbone, pipeline: Any, tmp_path: Path
) -> None:
    noise, drawn = backbone.noise(seeded(3)), []
    for seed in (0, 1, 0):
        made = factors(pipeline.unet, ATTENTION, seed=seed)
        backbone.bring_adapter(
            "brought", diffusers_file(made, "unet", tmp_path / "lora.safetensors")
        )
        drawn.append(ours(backbone, noise, BROUGHT))
        backbone.remove_adapter("brought")
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(
    backbone: UnetBackbone, pipeline: Any, tmp_path: Path
) -> None:
    path = tmp_path / "lora.safetensors"
    made = factors(pipeline.unet, ATTENTION)
    good = load_file(diffusers_file(made, "unet", path))
    query = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q"
    odd = {
        "holds no LoRA of this backbone's network": {"transformer.x.lora_A.weight": torch.ones(1)},
        "adapts a text encoder too": good | {"text_encoder.x.lora_A.weight": torch.ones(1)},
        "is a DoRA": good | {f"{query}.lora_magnitude_vector": torch.ones(16)},
        "which is no LoRA's factor": good | {f"{query}.diff_b": torch.ones(16)},
        "made for another network, or is damaged": good
        | {f"{query}.lora_A.weight": torch.ones(4, 9)},
        "adapts layers that this backbone has not": good
        | {f"unet.nowhere.to_q.lora_{side}.weight": torch.ones(4, 4) for side in "AB"},
    }
    for sentence, tensors in odd.items():
        save_file(tensors, path)
        with pytest.raises(UserError, match=sentence):
            backbone.bring_adapter("brought", path)
        assert not backbone.adapter_parameters("brought"), sentence
    with pytest.raises(UserError, match="Cannot read the adapter"):
        backbone.bring_adapter("brought", tmp_path / "nowhere.safetensors")
