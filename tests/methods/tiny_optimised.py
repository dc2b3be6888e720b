"""What images are optimised with: tiny backbones as they are published, and a tiny encoder."""

from pathlib import Path

import pytest
import torch

from bench import registry
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import GREY, ShortestSide
from tests.methods.conftest import tiny_flux
from tests.methods.tiny_text_backbones import tiny_sana, tiny_sd, tiny_xl
from tests.networks import small_clip, stored

FAMILIES = ("flux-schnell", "sd-turbo", "sdxl-turbo", "sana-512")


@pytest.fixture(scope="session")
def optimised_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a backbone of every family of ``FAMILIES``."""
    made = tmp_path_factory.mktemp("home")
    schedule = {"shift": 1.0, "use_dynamic_shifting": False}
    tiny_flux(schedule, guided=False).save_pretrained(made / "weights" / "flux-schnell")
    for name, make in (("sd-turbo", tiny_sd), ("sdxl-turbo", tiny_xl), ("sana-512", tiny_sana)):
        torch.manual_seed(0)
        make(name).save_pretrained(made / "weights" / name)
    return made


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkEncoder:
    """A CLIP of 32 pixels that is registered as 'small'."""
    weights = stored(small_clip(), tmp_path / "small.safetensors")
    build, prepare = "tests.networks:small_clip_images", ShortestSide(32, 32)
    made = NetworkEncoder("small", build, prepare, GREY, path=weights)
    load = registry.load
    monkeypatch.setattr(
        registry,
        "load",
        lambda kind, name: (lambda: made) if name == "small" else load(kind, name),
    )
    return made
