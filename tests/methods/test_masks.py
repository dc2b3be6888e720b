"""Masks of what an edit replaces, and the change that they leave uncounted."""

import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy import ndimage

from bench.errors import UserError
from bench.methods import masks as module
from bench.methods.masks import MiniOutlines, Outlines, change_outside, filled
from bench.metrics.regions import Box, Grounder, Mask, Masker
from bench.mini.grammar import Scene
from bench.mini.world import render_scene, sample_identity, scene_pose
from tests.networks import picture

pytest_plugins = ["tests.metrics.region_fixtures"]

PICTURE = picture((80, 60), 0)


def drawn(*rows: str) -> Mask:
    return np.array([[cell == "#" for cell in row] for row in rows])


@pytest.fixture
def outlines(
    detector: Path, outliner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Outlines:
    for folder in (detector, outliner):
        shutil.copytree(folder, tmp_path / "weights" / folder.name)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    return Outlines()


def test_holes_are_closed_and_of_several_parts_the_largest_stays() -> None:
    mask = drawn(
        "###....#",
        "#.#....#",
        "####....",
        "....#...",
    )
    expected = drawn(
        "###.....",
        "###.....",
        "####....",
        "....#...",
    )
    assert np.array_equal(filled(mask), expected), "a corner is enough to belong together"


@given(
    arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(
        lambda mask: mask.any()
    )
)
def test_what_is_filled_is_one_thing_without_holes_within_the_frame_of_the_mask(mask: Mask) -> None:
    one = filled(mask)
    assert ndimage.label(one, np.ones((3, 3)))[1] == 1
    assert np.array_equal(filled(one), one)
    assert one.any() and not (one & ~ndimage.binary_fill_holes(mask)).any()


def test_it_is_the_best_box_of_grounding_dino_and_all_of_sams_masks(
    outlines: Outlines, detector: Path, outliner: Path
) -> None:
    [found] = Grounder(detector).ground([PICTURE], ["dog"])
    assert found.box
    whole = tuple(float(int(at)) for at in found.box)
    proposed = Masker(outliner).network.masks(PICTURE, cast(Box, whole))
    mask = outlines(PICTURE, "dog")
    assert mask is not None and mask.shape == (60, 80)
    assert np.array_equal(mask, filled(proposed.any(axis=0)))


def test_what_is_not_seen_clearly_has_no_mask(
    outlines: Outlines, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.THRESHOLD == 0.3
    monkeypatch.setattr(module, "THRESHOLD", 1.0)
    assert outlines(PICTURE, "dog") is None


def test_weights_that_are_not_here_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match="bench weights fetch grounding-dino-tiny"):
        Outlines()


def test_the_mini_world_knows_its_subjects() -> None:
    identity, scene = sample_identity(0, "test", 0), Scene("snow", "day")
    image = Image.fromarray(render_scene(identity, scene, scene_pose(scene)))
    outlines = MiniOutlines()
    mask = outlines(image, "anything")
    assert mask is not None and mask.shape == (32, 32)
    assert 0.1 < mask.mean() < 0.6 and mask[19, 16]
    assert outlines(Image.new("RGB", (32, 32), "white"), "mug") is None
    assert outlines.recipe == MiniOutlines().recipe


def test_a_changed_subject_before_an_untouched_background_has_changed_nothing() -> None:
    mask = drawn("#.", "..")
    source = torch.rand(1, 3, 2, 2)
    edited = source.clone()
    edited[..., 0, 0] = 1 - edited[..., 0, 0]
    assert change_outside(mask, source)(edited).item() == 0.0


def test_the_change_is_a_mean_over_values_outside() -> None:
    """One of three pixels outside is off by 0.5 in one of three channels: 0.25 / 9."""
    mask, source = drawn("#.", ".."), torch.zeros(1, 3, 2, 2)
    edited = source.clone()
    edited[0, 1, 1, 1] = 0.5
    edited[0, :, 0, 0] = 1.0
    assert change_outside(mask, source)(edited).item() == pytest.approx(0.25 / 9)
    assert change_outside(~np.zeros((2, 2), bool), source)(edited).item() == 0.0


@given(st.integers(0, 2**9 - 1))
def test_only_what_is_outside_has_a_gradient(bits: int) -> None:
    mask = np.array([bits >> k & 1 for k in range(9)], np.bool_).reshape(3, 3)
    image = torch.full((1, 3, 3, 3), 0.5, requires_grad=True)
    change_outside(mask, torch.zeros(1, 3, 3, 3))(image).backward()
    assert image.grad is not None
    for channel in image.grad[0]:
        assert np.array_equal(channel.numpy() != 0, ~mask)
