"""Encoders against plain formulas with the same random weights, and the traps around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bench import registry
from bench.errors import UserError
from bench.identity import file_digest
from bench.metrics.encoders import (
    CLIP_VITB32_OPENAI,
    DINO_VITS16,
    OpenClipEncoder,
    Source,
    TimmEncoder,
    build_clip_vitb32,
    dino_vits16,
    pil_pipeline,
)

State = dict[str, Tensor]
Activation = Callable[[Tensor], Tensor]
SIZES = [(300, 260), (224, 224), (512, 512), (640, 333), (197, 411)]


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Coloured blobs under fine grain, so that every resampling shows."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), np.uint8)).resize(size)
    grain = rng.integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def shaken(model: nn.Module) -> nn.Module:
    """Random weights that leave no bias at zero and no norm at one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has fetched nothing yet."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "home/weights").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def dino(home: Path) -> TimmEncoder:
    model = shaken(timm.create_model("vit_small_patch16_224.dino", pretrained=False))
    save_file(model.state_dict(), home / "weights/dino-vits16.safetensors")
    return dino_vits16()


@pytest.fixture
def clip(tmp_path: Path) -> OpenClipEncoder:
    """CLIP with QuickGELU, tiny."""
    save_file(shaken(tiny_clip()).state_dict(), tmp_path / "clip.safetensors")
    return OpenClipEncoder(
        "tiny-clip",
        tmp_path / "clip.safetensors",
        lambda path: open_clip.load_checkpoint(tiny := tiny_clip(), str(path)) and tiny,
        pil_pipeline(32, 32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        open_clip.get_tokenizer("ViT-B-32-quickgelu"),
    )


def tiny_clip() -> CLIP:
    vision = CLIPVisionCfg(layers=2, width=48, head_width=16, patch_size=8, image_size=32)
    text = CLIPTextCfg(width=48, heads=3, layers=2)
    return CLIP(24, vision, text, quick_gelu=True)


# The plain formulas: pre-norm transformers, straight from the papers.


def linear(x: Tensor, state: State, name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    deviation = x - x.mean(dim=-1, keepdim=True)
    scaled = deviation / (deviation.square().mean(dim=-1, keepdim=True) + eps).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(qkv: Tensor, heads: int, causal: bool) -> Tensor:
    q, k, v = qkv.view(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        logits = logits + torch.full(logits.shape[-2:], -torch.inf).triu(1)
    mixed: Tensor = logits.softmax(dim=-1) @ v
    return mixed.transpose(1, 2).flatten(2)


def patches(pixels: Tensor, kernel: Tensor) -> Tensor:
    size = kernel.shape[-1]
    cut = F.unfold(pixels, size, stride=size).transpose(1, 2)
    return cut @ kernel.flatten(1).T


def plain_dino(pixels: Tensor, state: State) -> Tensor:
    x = patches(pixels, state["patch_embed.proj.weight"]) + state["patch_embed.proj.bias"]
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    for layer in range(12):
        at = f"blocks.{layer}"
        qkv = linear(norm(x, state, f"{at}.norm1", 1e-6), state, f"{at}.attn.qkv")
        x = x + linear(attention(qkv, 6, causal=False), state, f"{at}.attn.proj")
        hidden = F.gelu(linear(norm(x, state, f"{at}.norm2", 1e-6), state, f"{at}.mlp.fc1"))
        x = x + linear(hidden, state, f"{at}.mlp.fc2")
    return norm(x, state, "norm", 1e-6)[:, 0]


def plain_tower(x: Tensor, state: State, prefix: str, causal: bool) -> Tensor:
    for layer in range(2):
        at = f"{prefix}.resblocks.{layer}"
        qkv = norm(x, state, f"{at}.ln_1", 1e-5) @ state[f"{at}.attn.in_proj_weight"].T
        mixed = attention(qkv + state[f"{at}.attn.in_proj_bias"], 3, causal)
        x = x + linear(mixed, state, f"{at}.attn.out_proj")
        hidden = linear(norm(x, state, f"{at}.ln_2", 1e-5), state, f"{at}.mlp.c_fc")
        x = x + linear(hidden * torch.sigmoid(1.702 * hidden), state, f"{at}.mlp.c_proj")
    return x


def plain_clip_image(pixels: Tensor, state: State) -> Tensor:
    x = patches(pixels, state["visual.conv1.weight"])
    first = state["visual.class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([first, x], dim=1) + state["visual.positional_embedding"]
    x = plain_tower(norm(x, state, "visual.ln_pre", 1e-5), state, "visual.transformer", False)
    return norm(x[:, 0], state, "visual.ln_post", 1e-5) @ state["visual.proj"]


def plain_clip_text(ids: Tensor, state: State) -> Tensor:
    x = state["token_embedding.weight"][ids] + state["positional_embedding"]
    x = norm(plain_tower(x, state, "transformer", True), state, "ln_final", 1e-5)
    return x[torch.arange(len(x)), ids.argmax(dim=1)] @ state["text_projection"]


def unit(rows: Tensor) -> NDArray[np.float32]:
    return np.asarray(rows / rows.norm(dim=-1, keepdim=True), np.float32)


def prepared_by_hand(image: Image.Image, shortest: int, crop: int) -> Tensor:
    """DINO's evaluation preprocessing in PIL and NumPy."""
    small = min(image.size)
    width, height = (int(shortest * side / small) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    pixels = np.asarray(image.crop((left, top, left + crop, top + crop))) / 255
    normalised = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return torch.from_numpy(normalised).permute(2, 0, 1).float()


def test_dino_equals_the_plain_formula_on_images_resized_to_256(dino: TimmEncoder) -> None:
    images = [picture(size) for size in SIZES[:3]]
    pixels = torch.stack([prepared_by_hand(image, 256, 224) for image in images])
    with torch.inference_mode():
        expected = unit(plain_dino(pixels, dino.model.state_dict()))
        wrong = unit(
            plain_dino(prepared_by_hand(images[0], 248, 224)[None], dino.model.state_dict())
        )
    found = dino.encode_images(images)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(found[0] - wrong[0]).max() > 1e-3, "timm's own crop_pct would go unnoticed"


@pytest.mark.parametrize("size", SIZES)
def test_dino_preprocessing_is_pil_resize_256_and_centre_crop_224(
    dino: TimmEncoder, size: tuple[int, int]
) -> None:
    image = picture(size)
    torch.testing.assert_close(
        dino._prepare(image), prepared_by_hand(image, 256, 224), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("size", SIZES)
def test_clip_preprocessing_is_open_clips_own(size: tuple[int, int]) -> None:
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    official = open_clip.image_transform(224, is_train=False, mean=mean, std=std)
    image = picture(size)
    assert torch.equal(pil_pipeline(224, 224, mean, std)(image), official(image))


def test_clip_images_equal_the_plain_formula(clip: OpenClipEncoder) -> None:
    images = [picture((32, 32), seed) for seed in range(5)]
    pixels = torch.stack([clip._prepare(image) for image in images])
    with torch.inference_mode():
        expected = unit(plain_clip_image(pixels, clip.model.state_dict()))
    np.testing.assert_allclose(clip.encode_images(images), expected, atol=2e-6)


def test_clip_texts_equal_the_plain_formula_and_are_cut_at_77_tokens(clip: OpenClipEncoder) -> None:
    texts = ["a dog", "a red backpack in the jungle", "a cat " * 100]
    ids = open_clip.get_tokenizer("ViT-B-32-quickgelu")(texts)
    assert ids.shape == (3, 77)
    with torch.inference_mode():
        expected = unit(plain_clip_text(ids, clip.model.state_dict()))
    np.testing.assert_allclose(clip.encode_texts(texts), expected, atol=2e-6)


def test_openai_clip_from_a_file_computes_quick_gelu(tmp_path: Path) -> None:
    path = tmp_path / "clip.safetensors"
    model = open_clip.create_model("ViT-B-32", precision="fp16")
    save_file(model.state_dict(), path)
    del model
    activations = [
        module
        for module in build_clip_vitb32(path).modules()
        if isinstance(module, (QuickGELU, nn.GELU))
    ]
    path.unlink()
    assert len(activations) == 24
    x = torch.linspace(-4, 4, 99)
    for activation in activations:
        torch.testing.assert_close(activation(x), x * torch.sigmoid(1.702 * x))


def test_rows_are_float32_of_unit_length(dino: TimmEncoder, clip: OpenClipEncoder) -> None:
    image = picture((64, 48))
    for rows in (
        dino.encode_images([image]),
        clip.encode_images([image]),
        clip.encode_texts(["a"]),
    ):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_batch_size_and_order_change_nothing(clip: OpenClipEncoder, batch: int) -> None:
    images = [picture((40, 32), seed) for seed in range(7)]
    texts = [f"a dog number {number}" for number in range(7)]
    other = OpenClipEncoder(
        clip.name, clip.weights, clip._build, clip._prepare, clip._tokenize, batch
    )
    for found, known in (
        (other.encode_images(images[::-1]), clip.encode_images(images)),
        (other.encode_texts(texts[::-1]), clip.encode_texts(texts)),
    ):
        np.testing.assert_allclose(found[::-1], known, atol=1e-6)


def test_no_images_are_no_rows(clip: OpenClipEncoder) -> None:
    assert len(clip.encode_images([])) == 0


def test_palette_grey_and_transparent_images_are_read_as_rgb(clip: OpenClipEncoder) -> None:
    image = picture((32, 32)).convert("L")
    rows = clip.encode_images([image, image.convert("RGB"), image.convert("RGBA")])
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_a_faster_matmul_that_a_method_chose_does_not_reach_the_encoder_and_survives_it(
    clip: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Watching(nn.Identity):
        def encode_image(self, pixels: Tensor) -> Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return pixels.flatten(1)

        def parameters(self, recurse: bool = True):  # type: ignore[no-untyped-def]
            return iter([nn.Parameter(torch.zeros(1))])

    clip.model = Watching()
    torch.set_float32_matmul_precision("high")
    try:
        clip.encode_images([picture((32, 32))])
        assert (seen, torch.get_float32_matmul_precision()) == (["highest"], "high")
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_digest_is_that_of_the_weights_file_and_needs_no_network(dino: TimmEncoder) -> None:
    assert dino.digest == file_digest(dino.weights)
    assert "model" not in vars(dino), "the network was built before anything asked for it"


def test_an_image_encoder_asked_for_texts_says_so(dino: TimmEncoder) -> None:
    with pytest.raises(UserError, match=r"'dino-vits16' reads images only"):
        dino.encode_texts(["a dog"])


@pytest.mark.parametrize("source", [DINO_VITS16, CLIP_VITB32_OPENAI])
def test_missing_weights_name_the_command_the_size_and_the_licence(
    home: Path, source: Source
) -> None:
    with pytest.raises(UserError) as error:
        registry.load("encoder", source.encoder)()
    sentence = str(error.value)
    assert f"hf download {source.repository} {source.file}" in sentence
    assert source.size in sentence and source.licence in sentence
    assert str(home / "weights" / f"{source.encoder}.safetensors") in sentence


def test_weights_are_found_in_the_hugging_face_cache_and_the_users_own_come_first(
    home: Path,
) -> None:
    repository = home.parent / "hub/models--timm--vit_small_patch16_224.dino"
    cached = repository / "snapshots/abc/model.safetensors"
    for file, content in ((repository / "refs/main", "abc"), (cached, "")):
        file.parent.mkdir(parents=True)
        file.write_text(content)
    assert DINO_VITS16.find() == cached
    own = home / "weights/dino-vits16.safetensors"
    own.touch()
    assert DINO_VITS16.find() == own
