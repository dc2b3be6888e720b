"""DINO and DINOv2 against plain formulas and against transformers, on the same random weights."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Dinov2Config, Dinov2Model, ViTConfig, ViTModel

from bench import registry
from bench.metrics import encoders, vision
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import embed
from tests.networks import State, attention, linear, norm, patches, picture, shaken, stored

SMALL: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 3}
TRANSFORMERS = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3}
NAMES = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "attn.proj": "attention.o_proj",
    r"^norm\.": "layernorm.",
}
VIT = {"blocks": "layers", "norm1": "layernorm_before", "norm2": "layernorm_after"}
DINOV2 = {"blocks": "encoder.layer", r"ls(\d).gamma": r"layer_scale\1.lambda1"}
FAMILY = [
    ("dino-vits16", "vit_small_patch16_224.dino", 384),
    ("dino-vits8", "vit_small_patch8_224.dino", 384),
    ("dino-vitb16", "vit_base_patch16_224.dino", 768),
    ("dino-vitb8", "vit_base_patch8_224.dino", 768),
    ("dinov2-vits14", "vit_small_patch14_dinov2.lvd142m", 384),
    ("dinov2-vitb14", "vit_base_patch14_dinov2.lvd142m", 768),
    ("dinov2-vitl14", "vit_large_patch14_dinov2.lvd142m", 1024),
    ("dinov2-vitg14", "vit_giant_patch14_dinov2.lvd142m", 1536),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's networks at two layers of width 48."""
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **SMALL))


def renamed(state: State, names: dict[str, str]) -> State:
    """timm's weights under the names of transformers."""
    found: State = {}
    for name, value in state.items():
        for old, new in (NAMES | names).items():
            name = re.sub(old, new, name)
        if "attn.qkv" in name:
            for part, third in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("attn.qkv", f"attention.{part}_proj")] = third
        else:
            found[name] = value
    return found


def class_tokens(model: nn.Module, pixels: Tensor) -> NDArray[np.float32]:
    """What users of transformers read: the first token of the last layer, not the pooler."""
    with torch.inference_mode():
        return np.asarray(model(pixels).last_hidden_state[:, 0])


def plain_dino(pixels: Tensor, state: State) -> Tensor:
    x = patches(pixels, state["patch_embed.proj.weight"]) + state["patch_embed.proj.bias"]
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    for layer in range(12):
        at = f"blocks.{layer}"
        qkv = linear(norm(x, state, f"{at}.norm1", 1e-6), state, f"{at}.attn.qkv")
        x = x + linear(attention(qkv, 6), state, f"{at}.attn.proj")
        hidden = F.gelu(linear(norm(x, state, f"{at}.norm2", 1e-6), state, f"{at}.mlp.fc1"))
        x = x + linear(hidden, state, f"{at}.mlp.fc2")
    return norm(x, state, "norm", 1e-6)[:, 0]


def plain_bicubic(rows: NDArray[np.float64], scale: float, size: int) -> NDArray[np.float64]:
    """(n, D) to (size, D): Keys' kernel at A = -3/4, edges repeated."""
    found = np.zeros((size, rows.shape[1]))
    for target in range(size):
        source = (target + 0.5) / scale - 0.5
        for index in range(int(np.floor(source)) - 1, int(np.floor(source)) + 3):
            t = abs(source - index)
            near = 1.25 * t**3 - 2.25 * t**2 + 1
            far = -0.75 * (t**3 - 5 * t**2 + 8 * t - 4)
            found[target] += (near if t <= 1 else far) * rows[min(max(index, 0), len(rows) - 1)]
    return found


def plain_resampled(table: Tensor) -> Tensor:
    """37 x 37 positions to 16 x 16, by a scale of 16.1 / 37, one axis after the other."""
    grid = table[0, 1:].double().numpy().reshape(37, 37, -1)
    for _ in range(2):
        flat = plain_bicubic(grid.reshape(len(grid), -1), 16.1 / 37, 16)
        grid = flat.reshape(16, -1, table.shape[-1]).transpose(1, 0, 2)
    return torch.cat([table[0, :1], torch.from_numpy(grid).reshape(256, -1).float()])[None]


def test_dino_equals_the_plain_formula(tmp_path: Path) -> None:
    model = shaken(timm.create_model("vit_small_patch16_224.dino", pretrained=False))
    path = stored(model, tmp_path / "dino.safetensors")
    encoder = encoders.dino_vits16(path=path)
    images = [picture((300, 260)), picture((224, 224))]
    pixels = encoder.runner._normalised(
        np.stack([encoder.prepare(image) for image in images]), encoders.IMAGENET
    )
    with torch.inference_mode():
        expected = plain_dino(pixels, model.state_dict())
    np.testing.assert_allclose(embed(encoder, images), expected, atol=2e-5)


@pytest.mark.usefixtures("small")
def test_dino_equals_the_vit_of_transformers(tmp_path: Path) -> None:
    ours = shaken(timm.create_model("vit_small_patch16_224.dino"))
    theirs = ViTModel(
        ViTConfig(intermediate_size=192, layer_norm_eps=1e-6, **TRANSFORMERS),
        add_pooling_layer=False,
    ).eval()
    theirs.load_state_dict(renamed(ours.state_dict(), VIT))
    built = vision.dino_vits16(stored(ours, tmp_path / "vit.safetensors")).module.eval()
    pixels = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        found = np.asarray(built(pixels))
    np.testing.assert_allclose(found, class_tokens(theirs, pixels), atol=2e-6)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("side", [224, 518])
def test_dinov2_equals_that_of_transformers_given_the_positions_of_the_official_code(
    tmp_path: Path, side: int
) -> None:
    ours = shaken(timm.create_model("vit_large_patch14_dinov2.lvd142m"))
    build = {224: vision.dinov2_vitl14, 518: vision.dinov2_vitl14_518}[side]
    built = build(stored(ours, tmp_path / "dinov2.safetensors")).module.eval()
    state: dict[str, Any] = renamed(ours.state_dict(), DINOV2)
    if side == 224:
        state["embeddings.position_embeddings"] = plain_resampled(ours.state_dict()["pos_embed"])
    theirs = Dinov2Model(Dinov2Config(image_size=side, **TRANSFORMERS)).eval()
    theirs.load_state_dict({"embeddings.mask_token": torch.zeros(1, 48), **state})
    pixels = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        found = np.asarray(built(pixels))
    np.testing.assert_allclose(found, class_tokens(theirs, pixels), atol=3e-6)


def test_positions_are_moved_by_the_official_scale_and_not_by_that_of_timm_or_transformers() -> (
    None
):
    table = torch.randn(1, 1 + 37 * 37, 8, generator=torch.Generator().manual_seed(0))
    found, square = vision.resampled(table, 16), table[:, 1:].unflatten(1, (37, 37))
    torch.testing.assert_close(found, plain_resampled(table), atol=2e-5, rtol=0)
    for antialias in (True, False):
        other = F.interpolate(
            square.permute(0, 3, 1, 2), size=(16, 16), mode="bicubic", antialias=antialias
        )
        distance = (found[:, 1:] - other.flatten(2).transpose(1, 2)).norm() / found.norm()
        assert distance > 0.05, "the three ways could not be told apart"


def test_positions_of_the_trained_size_stay_as_they_are() -> None:
    table = torch.randn(1, 1 + 37 * 37, 4)
    assert vision.resampled(table, 37) is table


@pytest.mark.parametrize(("name", "network", "width"), FAMILY)
def test_every_size_is_built_by_its_name(
    name: str,
    network: str,
    width: int,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, depth=1))
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, **_: tensor)
    stored(timm.create_model(network), home / f"weights/{name}.safetensors")
    encoder: NetworkEncoder = getattr(encoders, name.replace("-", "_"))()
    assert encoder.name == name
    assert embed(encoder, [picture((256, 300))]).shape == (1, width)


@pytest.mark.usefixtures("small")
def test_dinov2_at_518_pixels_shares_the_weights_of_the_same_network_at_224(home: Path) -> None:
    path = home / "weights/dinov2-vitl14.safetensors"
    stored(shaken(timm.create_model("vit_large_patch14_dinov2.lvd142m")), path)
    small, large = encoders.dinov2_vitl14(), encoders.dinov2_vitl14_518()
    assert small.digest == large.digest and small.recipe != large.recipe
    assert large.prepare(picture((600, 550))).shape == (518, 518, 3)
    assert not np.allclose(embed(small, [picture((64, 64))]), embed(large, [picture((64, 64))]))


def test_every_size_is_registered() -> None:
    missing = {name for name, _, _ in FAMILY} | {"dinov2-vitl14-518"}
    assert missing <= registry.names("encoder").keys()
