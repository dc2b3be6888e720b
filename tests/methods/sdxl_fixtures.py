"""The tiny SD-XL as fixtures: test modules name this one among their plugins."""

from pathlib import Path

import pytest
from diffusers import StableDiffusionXLPipeline

from bench.methods.backbones import sdxl as sdxl_module
from bench.methods.backbones.sdxl import SdxlBackbone
from tests.methods.tiny_sdxl import RESOLUTION, save_sdxl, stock


@pytest.fixture(scope="session")
def sdxl_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sdxl")
    save_sdxl(home)
    return home


@pytest.fixture(scope="session")
def bare_sdxl(sdxl_home: Path) -> SdxlBackbone:
    """Loaded by the same function as SD-XL base 1.0; nobody puts an adapter in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
        return sdxl_module.load(resolution=RESOLUTION)


@pytest.fixture
def sdxl(sdxl_home: Path, monkeypatch: pytest.MonkeyPatch) -> SdxlBackbone:
    """The same, to be changed."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
    return sdxl_module.load(resolution=RESOLUTION)


@pytest.fixture(scope="session")
def sdxl_pipeline(sdxl_home: Path) -> StableDiffusionXLPipeline:
    """The same weights in diffusers' own pipeline; nobody changes it."""
    made = stock(sdxl_home)
    made.set_ip_adapter_scale(0.6)
    return made
