"""CLIP's towers against plain formulas and against transformers, and QuickGELU everywhere."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from bench.errors import UserError
from bench.metrics import clip as towers
from bench.metrics import encoders
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import GREY
from bench.metrics.similarity import embed
from tests.networks import State, clip_image, clip_text, picture, shaken, small_clip, stored, within

TEXTS = ["a dog", "a red backpack in the jungle", "a cat " * 100]
FAMILY = [
    ("clip-vitb32-openai", "ViT-B-32", 224, 512),
    ("clip-vitb16-openai", "ViT-B-16", 224, 512),
    ("clip-vitl14-openai", "ViT-L-14", 224, 768),
    ("clip-vitl14-336-openai", "ViT-L-14-336", 336, 768),
]
NAMES = {
    r"^visual\.class_embedding": "vision_model.embeddings.class_embedding",
    r"^visual\.conv1": "vision_model.embeddings.patch_embedding",
    r"^visual\.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    r"^visual\.ln_pre": "vision_model.pre_layrnorm",
    r"^visual\.ln_post": "vision_model.post_layernorm",
    r"^visual\.transformer\.resblocks": "vision_model.encoder.layers",
    r"^visual\.proj": "visual_projection.weight",
    r"^transformer\.resblocks": "text_model.encoder.layers",
    r"^token_embedding": "text_model.embeddings.token_embedding",
    r"^positional_embedding": "text_model.embeddings.position_embedding.weight",
    r"^ln_final": "text_model.final_layer_norm",
    r"^text_projection": "text_projection.weight",
    r"\.ln_(\d)": r".layer_norm\1",
    r"\.mlp\.c_fc": ".mlp.fc1",
    r"\.mlp\.c_proj": ".mlp.fc2",
    r"\.attn\.": ".self_attn.",
}


def renamed(state: State) -> State:
    """open_clip's weights under the names of transformers."""
    found: State = {}
    for name, value in state.items():
        for old, new in NAMES.items():
            name = re.sub(old, new, name)
        if "in_proj_" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("in_proj_", f"{part}_proj.")] = third
        else:
            found[name] = value.T if name.endswith("projection.weight") else value
    return found


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip's networks with one layer and few words."""
    for plain in [name for _, name, _, _ in FAMILY]:
        for name in (plain, f"{plain}-quickgelu"):
            config = open_clip.get_model_config(name)
            config["vision_cfg"]["layers"] = config["text_cfg"]["layers"] = 1
            config["text_cfg"]["vocab_size"] = 64
            monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


def pixels_of(encoder: NetworkEncoder) -> tuple[list[Any], Tensor]:
    images = [picture((32, 32), seed) for seed in range(5)]
    prepared = np.stack([encoder.prepare(image) for image in images])
    return images, encoder.runner._normalised(prepared, GREY)


def test_images_equal_the_plain_formula(clip: NetworkEncoder) -> None:
    images, pixels = pixels_of(clip)
    state = within(clip.runner.towers.module.state_dict(), "visual.")
    with torch.inference_mode():
        expected = clip_image(pixels, state, heads=3)
    np.testing.assert_allclose(embed(clip, images), expected, atol=5e-6)


def test_texts_equal_the_plain_formula_and_are_cut_at_77_tokens(clip: NetworkEncoder) -> None:
    ids = open_clip.get_tokenizer("ViT-B-32-quickgelu")(TEXTS)
    assert ids.shape == (3, 77)
    with torch.inference_mode():
        expected = clip_text(ids, clip.runner.towers.module.state_dict(), heads=3)
    np.testing.assert_allclose(clip.encode_texts(TEXTS), expected, atol=5e-6)


@pytest.mark.parametrize("texts", [["a dog"], ["a", "a red backpack in the jungle"], ["a " * 99]])
def test_leaving_out_what_follows_the_texts_changes_nothing(texts: list[str]) -> None:
    model: Any = shaken(small_clip())
    ids = open_clip.get_tokenizer("ViT-B-32-quickgelu")(texts)
    with torch.inference_mode():
        found, expected = towers.read(model, ids), model.encode_text(ids)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_both_towers_equal_the_clip_of_transformers(clip: NetworkEncoder) -> None:
    size = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2}
    shape = {**size, "num_attention_heads": 3}
    vision = {**shape, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=shape, vision_config=vision, projection_dim=24)
    theirs = CLIPModel(config).eval()
    theirs.load_state_dict(renamed(small_state(clip)))
    images, pixels = pixels_of(clip)
    ids = open_clip.get_tokenizer("ViT-B-32-quickgelu")(TEXTS)
    with torch.inference_mode():
        seen = np.asarray(theirs.get_image_features(pixels).pooler_output)
        read = np.asarray(theirs.get_text_features(ids).pooler_output)
    np.testing.assert_allclose(embed(clip, images), seen, atol=5e-6)
    np.testing.assert_allclose(clip.encode_texts(TEXTS), read, atol=5e-6)


def small_state(clip: NetworkEncoder) -> State:
    state: State = clip.runner.towers.module.state_dict()
    return state


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(("name", "network", "side", "width"), FAMILY)
def test_every_size_from_a_file_computes_quick_gelu(
    name: str, network: str, side: int, width: int, home: Path
) -> None:
    stored(open_clip.create_model(network), home / f"weights/{name}.safetensors")
    encoder: NetworkEncoder = getattr(encoders, name.replace("-", "_"))()
    assert encoder.prepare(picture((400, 350))).shape == (side, side, 3)
    assert embed(encoder, [picture((64, 64))]).shape == (1, width)
    x = torch.linspace(-4, 4, 99)
    bent = activations(encoder.runner.towers.module)
    assert len(bent) == 2
    for activation in bent:
        torch.testing.assert_close(activation(x), x * torch.sigmoid(1.702 * x))


def activations(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, (QuickGELU, nn.GELU))]


@pytest.mark.usefixtures("shallow")
def test_open_clips_plain_names_would_compute_gelu() -> None:
    model = open_clip.create_model("ViT-B-32")
    assert {type(module) for module in activations(model)} == {nn.GELU}


@pytest.mark.usefixtures("shallow")
def test_weights_for_224_pixels_are_not_stretched_to_336(home: Path) -> None:
    path = home / "weights/clip-vitl14-336-openai.safetensors"
    stored(open_clip.create_model("ViT-L-14"), path)
    with pytest.raises(UserError, match=r"not those of 'clip-vitl14-336-openai'.*replace") as error:
        embed(encoders.clip_vitl14_336_openai(), [picture((64, 64))])
    assert str(path) in str(error.value)


@pytest.mark.usefixtures("shallow")
def test_half_precision_files_are_computed_in_fp32(home: Path) -> None:
    path = home / "weights/clip-vitb32-openai.safetensors"
    stored(open_clip.create_model("ViT-B-32", precision="fp16"), path)
    module = towers.clip_vitb32_openai(path).module
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_shaking_moves_every_weight() -> None:
    before, after = small_clip(), shaken(small_clip())
    norms = [name for name, _ in before.named_parameters() if "ln_" in name]
    assert norms and not any(
        torch.equal(before.state_dict()[name], after.state_dict()[name]) for name in norms
    )
