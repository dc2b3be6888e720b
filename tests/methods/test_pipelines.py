"""Stock pipelines are loaded from the user's own copies; what is amiss is one clear sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.errors import UserError
from bench.methods.backbones import flux_inpainting, flux_ip_adapter, flux_kontext
from bench.methods.backbones.pipelines import PipelineBackbone
from tests.methods.tiny_pipelines import (
    beside_flux,
    save_controlnet,
    save_ip_adapter,
    save_kontext,
)

Load = Callable[[], PipelineBackbone]
LOADERS = [flux_kontext.load, flux_ip_adapter.load, flux_inpainting.load]
PARTS: list[tuple[Load, str, str]] = [
    (flux_kontext.load, "flux-kontext", "transformer/*.safetensors"),
    (flux_ip_adapter.load, "flux-ip-adapter", ""),
    (flux_ip_adapter.load, "clip-vit-large-patch14", "model.safetensors"),
    (flux_inpainting.load, "flux-inpainting", "diffusion_pytorch_model.safetensors"),
]
"""What each backbone is read from, beside FLUX.1-dev: its name, and a file of it."""


@pytest.fixture
def home(flux_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = beside_flux(flux_home, tmp_path / "home")
    for save in (save_kontext, save_ip_adapter, save_controlnet):
        save(home)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return home


def file_of(home: Path, name: str, pattern: str) -> Path:
    folder = home / "weights"
    return next((folder / name).glob(pattern)) if pattern else folder / f"{name}.safetensors"


@pytest.mark.parametrize("load", LOADERS)
def test_a_backbone_says_what_a_run_asks_of_it(home: Path, load: Load) -> None:
    backbone = load()
    assert backbone.device.type in ("cpu", "cuda")
    assert backbone.dtype == (torch.float32 if backbone.device.type == "cpu" else torch.bfloat16)
    assert (backbone.spec.mini, backbone.spec.batch) == (False, 1)
    assert len(backbone.spec.digest) == 64


@pytest.mark.parametrize(("load", "name", "pattern"), PARTS)
def test_a_part_that_is_missing_names_the_command_that_fetches_it(
    home: Path, load: Load, name: str, pattern: str
) -> None:
    place = home / "weights" / (name if pattern else f"{name}.safetensors")
    place.rename(home / "elsewhere")
    with pytest.raises(UserError, match=f"'bench weights fetch {name}'"):
        load()


@pytest.mark.parametrize(("load", "name", "pattern"), PARTS)
def test_a_part_that_is_cut_off_is_named(home: Path, load: Load, name: str, pattern: str) -> None:
    file = file_of(home, name, pattern)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"^The weights of '{name}' at .* damaged or incomplete"):
        load()


@pytest.mark.parametrize(("load", "name", "pattern"), PARTS)
def test_the_digest_follows_every_part(home: Path, load: Any, name: str, pattern: str) -> None:
    before = load().spec.digest
    file = file_of(home, name, pattern)
    file.write_bytes(file.read_bytes()[:-1] + b"\x55")
    assert load().spec.digest != before


def test_an_image_encoder_that_lacks_a_weight_is_not_made_up(home: Path) -> None:
    file = file_of(home, "clip-vit-large-patch14", "model.safetensors")
    state = load_file(file)
    del state["visual_projection.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"'clip-vit-large-patch14' at .* damaged or incomplete"):
        flux_ip_adapter.load()
