"""A user's own folder of weights, and a small CLIP."""

from pathlib import Path

import pytest

from bench.metrics.encoders import NetworkEncoder
from tests.networks import shaken, small_clip, small_encoder, stored


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has fetched nothing yet."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "home/weights").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a small CLIP."""
    path = tmp_path_factory.mktemp("weights") / "small-clip.safetensors"
    return stored(shaken(small_clip()), path)


@pytest.fixture
def clip(clip_file: Path) -> NetworkEncoder:
    """The encoder of that CLIP, in fp32."""
    return small_encoder(clip_file)
