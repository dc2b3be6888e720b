"""What is measured is a real network's: it is found as it was, and drawing takes many passes."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench import registry
from bench.cost.devices import processor
from bench.errors import UserError
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.timing import ADAPTER, backbone_speed, encoder_speed
from tests.methods.tiny_text_backbones import save


def test_a_backbone_is_measured_and_left_as_it_was(mini: FluxBackbone) -> None:
    speed = backbone_speed("mini", mini, seconds=0.0)
    assert (speed.kind, speed.name, speed.digest) == ("backbone", "mini", mini.spec.digest)
    assert (speed.device, speed.dtype) == (processor().name, "float32")
    assert set(speed.seconds) == {"alone", "seeing", "training", "beside"}
    assert min(speed.seconds["alone"], speed.seconds["seeing"], speed.seconds["training"]) > 0
    assert speed.bytes_per_image is not None and 500 < speed.bytes_per_image < 2 * 32 * 32 * 3
    assert mini.adapter_parameters(ADAPTER) == {}
    assert not any(value.requires_grad for value in mini.transformer.parameters())


def test_a_backbone_that_sees_no_reference_is_measured_without(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    save(tmp_path)
    speed = backbone_speed("sd15", registry.load("backbone", "sd15")(16), seconds=0.0)
    assert set(speed.seconds) == {"alone", "training", "beside"}


def test_a_pipeline_of_its_own_is_not_measured() -> None:
    with pytest.raises(UserError, match="flux-kontext draws with a pipeline of its own"):
        backbone_speed("flux-kontext", SimpleNamespace())


def test_an_encoder_is_measured_by_the_images_that_it_is_shown() -> None:
    encoder = registry.load("encoder", "mini-dino")(precision="fp32")
    speed = encoder_speed("mini-dino", encoder, seconds=0.0)
    assert (speed.kind, speed.digest, speed.dtype) == ("encoder", encoder.digest, "fp32")
    assert 0 < speed.seconds["image"] < 1
