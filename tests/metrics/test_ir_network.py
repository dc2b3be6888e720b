"""IR's network at a small width: a stock open_clip tower with a narrower stride, and its file."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn

from bench.errors import UserError
from bench.metrics import ir, ir_network
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.ir_network import Shape
from bench.metrics.preparation import CLIP as COLOURS
from bench.metrics.similarity import embed
from tests.networks import State, clip_image, linear, picture, shaken, within

SMALL = Shape(width=48, layers=2, heads=3, projected=32, embedded=8)


@pytest.fixture
def state() -> State:
    """Weights as the network has them."""
    weights: State = shaken(ir_network.build(SMALL)).state_dict()
    return weights


@pytest.fixture
def encoder(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkEncoder:
    """IR from a file as it was published: prefixes of two trainings, and the margin head."""
    path = tmp_path / "ir.pth"
    torch.save(published(state), path)
    small = partial(ir_network.guie_vith14, shape=SMALL)
    monkeypatch.setattr(ir_network, "guie_vith14", small)
    made: NetworkEncoder = ir.ir_guie_vith14(path=path)
    return made


def published(state: State) -> State:
    named = {f"module.backbone.module.{name}": value for name, value in state.items()}
    return {**named, "module.fc2.weight": torch.randn(100, 8)}


def pixels(encoder: NetworkEncoder) -> Tensor:
    images = [encoder.prepare(picture((300, 290), seed)) for seed in range(2)]
    normalised: Tensor = encoder.runner._normalised(np.stack(images), COLOURS)
    return normalised


def test_it_equals_a_stock_tower_with_the_stride_narrowed(
    encoder: NetworkEncoder, state: State
) -> None:
    vision = CLIPVisionCfg(layers=2, width=48, head_width=16, patch_size=14, image_size=336)
    tower = CLIP(32, vision, CLIPTextCfg(width=48, heads=3, layers=1)).visual.eval()
    tower.conv1.stride = (12, 12)
    tower.load_state_dict(within(state, "backbone."))
    assert isinstance(tower.transformer.resblocks[0].mlp.gelu, nn.GELU)
    with torch.inference_mode():
        expected = linear(tower(pixels(encoder)), state, "fc1")
    images = [picture((300, 290), seed) for seed in range(2)]
    np.testing.assert_allclose(embed(encoder, images), expected, atol=2e-6)


def test_it_equals_the_plain_formula_on_24_by_24_overlapping_patches(
    encoder: NetworkEncoder, state: State
) -> None:
    with torch.inference_mode():
        tower = within(state, "backbone.")
        seen = clip_image(pixels(encoder), tower, heads=3, gelu="exact", stride=12)
    assert tower["positional_embedding"].shape == (577, 48)
    images = [picture((300, 290), seed) for seed in range(2)]
    np.testing.assert_allclose(embed(encoder, images), linear(seen, state, "fc1"), atol=5e-6)


def test_images_are_shown_at_290_pixels(encoder: NetworkEncoder) -> None:
    assert encoder.prepare(picture((400, 350))).shape == (290, 290, 3)


def test_the_published_network_is_a_vit_huge_to_64_numbers() -> None:
    with torch.device("meta"):
        shapes = {
            name: tuple(value.shape) for name, value in ir_network.build().state_dict().items()
        }
    assert shapes["backbone.conv1.weight"] == (1280, 3, 14, 14)
    assert shapes["backbone.positional_embedding"] == (577, 1280)
    assert shapes["backbone.transformer.resblocks.31.mlp.c_fc.weight"] == (5120, 1280)
    assert shapes["backbone.proj"] == (1280, 1024)
    assert shapes["fc1.weight"] == (64, 1024)
    assert "backbone.transformer.resblocks.32.mlp.c_fc.weight" not in shapes


@pytest.mark.parametrize("change", ["missing", "strange"])
def test_a_file_that_lacks_or_adds_a_weight_is_refused(
    encoder: NetworkEncoder, state: State, change: str
) -> None:
    weights = published(state)
    if change == "missing":
        del weights["module.backbone.module.fc1.bias"]
    else:
        weights["module.fc3.weight"] = torch.zeros(1)
    torch.save(weights, encoder.path)
    with pytest.raises(UserError, match="not those of 'ir-guie-vith14'"):
        embed(encoder, [picture((64, 64))])


def test_nothing_in_a_file_is_run(encoder: NetworkEncoder, tmp_path: Path) -> None:
    torch.save({"weights": Trap(tmp_path / "sprung")}, encoder.path)
    with pytest.raises(UserError, match="not those of 'ir-guie-vith14'"):
        embed(encoder, [picture((64, 64))])
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)
