"""DINO and CLIP as DreamMatcher's evaluation runs them, on the same random weights."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import functional

from bench.metrics import encoders, vision
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import embed
from tests.networks import picture, shaken, stored

IMAGES = [picture((300, 200)), picture((180, 420), seed=1)]


def handed() -> Tensor:
    """What both evaluators are given: squashed by PIL, in [-1, 1]."""
    squashed = [np.asarray(image.resize((256, 256), Image.Resampling.BICUBIC)) for image in IMAGES]
    return torch.from_numpy(np.stack(squashed) / 127.5 - 1).float().permute(0, 3, 1, 2)


@pytest.fixture
def dino(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[nn.Module, NetworkEncoder]:
    small = partial(timm.create_model, depth=2, embed_dim=48, num_heads=3)
    monkeypatch.setattr(timm, "create_model", small)
    model = shaken(timm.create_model("vit_small_patch16_224.dino", num_classes=0))
    path = stored(model, tmp_path / "dino.safetensors")
    return model, encoders.dino_vits16_dreammatcher(path=path)


def as_dino(model: Any, pixels: Tensor) -> NDArray[np.float32]:
    """The published network, step by step, positions moved as its own code does."""
    table = model.pos_embed
    grid = table[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    scale = (16 + 0.1) / 14
    moved = nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    positions = torch.cat([table[:, :1], moved.permute(0, 2, 3, 1).reshape(1, 256, -1)], dim=1)
    weights = model.patch_embed.proj
    patches = nn.functional.conv2d(pixels, weights.weight, weights.bias, stride=16)
    tokens = patches.flatten(2).transpose(1, 2)
    x = torch.cat([model.cls_token.expand(len(tokens), -1, -1), tokens], dim=1) + positions
    return np.asarray(model.norm(model.blocks(x))[:, 0])


def test_dino_sees_256_pixels_in_minus_one_to_one(dino: tuple[nn.Module, NetworkEncoder]) -> None:
    model, encoder = dino
    with torch.inference_mode():
        expected = as_dino(model, handed())
    np.testing.assert_allclose(embed(encoder, IMAGES), expected, atol=2e-6)


def test_dino_as_its_authors_prepare_images_sees_something_else(
    dino: tuple[nn.Module, NetworkEncoder],
) -> None:
    usual = encoders.dino_vits16(path=dino[1].path)
    assert not np.allclose(embed(dino[1], IMAGES), embed(usual, IMAGES), atol=1e-2)


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[open_clip.CLIP, NetworkEncoder]:
    """CLIP at its real size of images and tokens, two thin layers deep."""
    thin = open_clip.model.CLIPVisionCfg(layers=2, width=64, head_width=32, patch_size=32)
    texts = open_clip.model.CLIPTextCfg(width=48, heads=3, layers=2)

    def build(*_: Any, **__: Any) -> open_clip.CLIP:
        return open_clip.CLIP(24, thin, texts, quick_gelu=True)

    torch.manual_seed(0)
    model = shaken(build())
    path = stored(model, tmp_path / "clip.safetensors")
    monkeypatch.setattr(open_clip, "create_model", build)
    return model, encoders.clip_vitb32_dreammatcher(path=path)


def test_clip_makes_the_tensor_smaller_without_antialiasing(
    clip: tuple[open_clip.CLIP, NetworkEncoder],
) -> None:
    model, encoder = clip
    bicubic = transforms.InterpolationMode.BICUBIC
    pixels = functional.normalize(handed(), [-1.0] * 3, [2.0] * 3)
    pixels = functional.resize(pixels, [224], bicubic, antialias=False)
    colours = encoders.CLIP
    pixels = functional.normalize(pixels, list(colours.mean), list(colours.std))
    with torch.inference_mode():
        expected = np.asarray(model.encode_image(pixels))
    np.testing.assert_allclose(embed(encoder, IMAGES), expected, atol=5e-6)


def test_clip_reads_texts_as_ever(clip: tuple[open_clip.CLIP, NetworkEncoder]) -> None:
    model, encoder = clip
    tokens = open_clip.get_tokenizer("ViT-B-32-quickgelu")(["a {} in the jungle"])
    with torch.inference_mode():
        expected = np.asarray(model.encode_text(tokens))
    np.testing.assert_allclose(encoder.encode_texts(["a {} in the jungle"]), expected, atol=5e-6)


def test_weights_are_those_of_dino_and_clip(home: Path) -> None:
    for name in ("dino-vits16", "clip-vitb32-openai"):
        file = home / f"weights/{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
        renamed = f"{name.removesuffix('-openai')}-dreammatcher".replace("-", "_")
        assert getattr(encoders, renamed)().path == file
    assert vision.dino_vits16_hf is vision.dino_vits16
    assert encoders.dino_vits16_hf().digest == encoders.dino_vits16().digest
