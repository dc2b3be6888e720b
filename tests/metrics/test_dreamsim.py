"""DreamSim against the package ``dreamsim`` itself, whole, on the same random weights.

The ViTs are narrower than the published ones. torch.hub, which nobody should need, is replaced by
the package's own copy of DINO's ViT.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from bench.api import Scored
from bench.errors import UserError
from bench.metrics import dreamsim as ours
from bench.metrics.dreamsim import DreamSim
from bench.metrics.encoders import NetworkEncoder

package = pytest.importorskip("dreamsim")
WIDTH, PROJECTED = 128, 48
ENCODERS = {
    "ensemble": ours.dreamsim_ensemble,
    "dino_vitb16": ours.dreamsim_dino_vitb16,
    "clip_vitb32": ours.dreamsim_clip_vitb32,
    "open_clip_vitb32": ours.dreamsim_open_clip_vitb32,
}
Release = Callable[[str], Path]


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize(size)


def shaken(model: nn.Module, seed: int) -> nn.Module:
    """Random weights that leave no bias at zero and no norm at one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def narrow(patch_size: int = 16) -> nn.Module:
    """The package's ViT-B at a sixth of its width, and as deep."""
    from dreamsim.feature_extraction.vision_transformer import VisionTransformer

    norm = partial(nn.LayerNorm, eps=1e-6)
    sizes = {"patch_size": patch_size, "embed_dim": WIDTH, "num_heads": 2}
    model: nn.Module = VisionTransformer(qkv_bias=True, norm_layer=norm, **sizes)
    return model


def write_dino(folder: Path) -> None:
    dino = shaken(narrow(), seed=0)
    (folder / "checkpoints").mkdir()
    torch.save(dino.state_dict(), folder / "checkpoints/dino_vitbase16_pretrain.pth")
    layers = ["mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias", "mlp.4.weight"]
    head = {f"module.head.{name}": torch.ones(1) for name in [*layers, "mlp.4.bias"]}
    head["module.head.last_layer.weight"] = torch.ones(1)
    torch.save({"student": head}, folder / "dino_vitb16_pretrain.pth")


def write_clip(folder: Path, file: str, patch: int, seed: int) -> None:
    vit = narrow(patch)
    vit.pos_drop = nn.LayerNorm(WIDTH)
    state = shaken(vit, seed).state_dict()
    proj = torch.randn(WIDTH, PROJECTED, generator=torch.Generator().manual_seed(seed))
    torch.save({"state_dict": {**state, "proj": proj}}, folder / file)


def write_adapter(folder: Path, kind: str) -> None:
    """An adapter as training leaves it, written by peft around the package's own model."""
    from dreamsim.config import dreamsim_args
    from dreamsim.model import PerceptualModel

    settings = dreamsim_args["model_config"][kind]
    model = PerceptualModel(**settings, device="cpu", load_dir=str(folder))
    lora = LoraConfig(r=4, lora_alpha=2, lora_dropout=0.3, bias="none", target_modules=["qkv"])
    wrapped = get_peft_model(model, lora)
    trained = [value for name, value in wrapped.named_parameters() if "lora_" in name]
    with torch.no_grad():
        for number, parameter in enumerate(trained):
            generator = torch.Generator().manual_seed(number)
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    tag = "ensemble" if kind == "ensemble" else f"{kind}_single"
    wrapped.save_pretrained(str(folder / f"{tag}_lora"))


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """Writes a release of a kind of DreamSim, and lets the package read it offline."""
    features = "dreamsim.feature_extraction"
    for loader in ("load_clip_as_dino", "load_open_clip_as_dino"):
        monkeypatch.setattr(f"{features}.{loader}.vit_base", narrow)

    def hub(repository: str, name: str) -> nn.Module:
        model = narrow()
        model.load_state_dict(torch.load(tmp_path / "checkpoints/dino_vitbase16_pretrain.pth"))
        return model

    monkeypatch.setattr("torch.hub.load", hub)
    monkeypatch.setattr("torch.hub.set_dir", lambda folder: None)

    def write(kind: str) -> Path:
        if kind in ("ensemble", "dino_vitb16"):
            write_dino(tmp_path)
        for seed, name in enumerate(("clip_vitb16", "open_clip_vitb16"), 1):
            if kind == "ensemble":
                write_clip(tmp_path, f"{name}_pretrain.pth.tar", 16, seed)
        if kind in ("clip_vitb32", "open_clip_vitb32"):
            write_clip(tmp_path, f"{kind}_pretrain.pth.tar", 32, 3)
        write_adapter(tmp_path, kind)
        return tmp_path

    return write


def scored(encoder: NetworkEncoder, image: Image.Image, *references: Image.Image) -> Scored:
    pictures = [encoder.prepare(each) for each in (image, *references)]
    features = encoder.encode_images(pictures)
    return Scored(features[0], features[1:], features[1:], None)


@pytest.mark.parametrize("kind", ENCODERS)
def test_distance_is_the_packages(kind: str, release: Release) -> None:
    folder = release(kind)
    model, preprocess = package.dreamsim(
        device="cpu", cache_dir=str(folder), dreamsim_type=kind, pretrained=True
    )
    image, references = picture(0), [picture(1), picture(2, (50, 120))]
    with torch.no_grad():
        theirs = [float(model(preprocess(image), preprocess(other))) for other in references]
        embedding = model.embed(preprocess(image)).numpy()

    encoder = ENCODERS[kind](path=folder)
    metric = DreamSim(encoder)

    assert metric.score(scored(encoder, image, *references)) == pytest.approx(
        np.mean(theirs), abs=5e-6
    )
    assert metric([image], references) == pytest.approx([np.mean(theirs)], abs=5e-6)
    np.testing.assert_allclose(
        encoder.encode_images([encoder.prepare(image)]), embedding, rtol=0, atol=1e-5
    )


def test_adapter_counts(release: Release) -> None:
    folder = release("clip_vitb32")
    adapted = ours.dreamsim_clip_vitb32(path=folder)
    with_it = adapted.encode_images([adapted.prepare(picture(0))])
    config = folder / "clip_vitb32_single_lora/adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "lora_alpha": 0}))
    bare = ours.dreamsim_clip_vitb32(path=folder)

    without = bare.encode_images([bare.prepare(picture(0))])

    assert np.abs(with_it - without).max() > 1e-3


def test_image_is_at_no_distance_from_itself(release: Release) -> None:
    encoder = ours.dreamsim_clip_vitb32(path=release("clip_vitb32"))

    assert DreamSim(encoder)([picture(0)], [picture(0)]) == pytest.approx([0], abs=1e-6)


def test_missing_file_is_named(release: Release) -> None:
    folder = release("clip_vitb32")
    (folder / "clip_vitb32_pretrain.pth.tar").unlink()
    encoder = ours.dreamsim_clip_vitb32(path=folder)

    with pytest.raises(UserError, match=r"lack .*clip_vitb32_pretrain\.pth\.tar; put"):
        encoder.encode_images([encoder.prepare(picture(0))])


def test_adapter_of_another_network_is_refused(release: Release) -> None:
    folder = release("clip_vitb32")
    adapter = folder / "clip_vitb32_single_lora/adapter_model.safetensors"
    second = {name.replace("list.0", "list.1"): value for name, value in load_file(adapter).items()}
    save_file(second, adapter)
    encoder = ours.dreamsim_clip_vitb32(path=folder)

    with pytest.raises(UserError, match=r"not those of 'dreamsim-clip-vitb32'.*does not fit"):
        encoder.encode_images([encoder.prepare(picture(0))])


def test_file_of_another_kind_is_refused(release: Release) -> None:
    folder = release("clip_vitb32")
    torch.save({"model": {}}, folder / "clip_vitb32_pretrain.pth.tar")
    encoder = ours.dreamsim_clip_vitb32(path=folder)

    with pytest.raises(UserError, match="not those of 'dreamsim-clip-vitb32'"):
        encoder.encode_images([encoder.prepare(picture(0))])
