"""Preparation by PIL, bit for bit what torchvision, open_clip and transformers do to PIL images."""

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from bench.metrics.encoders import Preparation
from bench.metrics.networks import Runner, Towers
from bench.metrics.preparation import (
    CLIP,
    IMAGENET,
    Colours,
    CropFirst,
    ShortestSide,
    Squash,
    SquashBilinear,
    described,
)
from tests.networks import picture

SIZES = st.tuples(st.integers(20, 420), st.integers(20, 420))
RUNNER = Runner(Towers(nn.Identity(), nn.Identity()), "fp32", 32)


def shown(prepare: Preparation, image: Image.Image, colours: Colours) -> Tensor:
    """(3, H, W): what reaches the network."""
    pixels: Tensor = RUNNER._normalised(np.stack([prepare(image)]), colours)[0].cpu()
    return pixels


def official(resize: int | tuple[int, int], crop: int, colours: Colours) -> transforms.Compose:
    return transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(colours.mean, colours.std),
        ]
    )


@settings(deadline=None, max_examples=40)
@given(SIZES, st.sampled_from([(256, 224), (224, 224), (290, 290), (518, 518)]))
def test_the_shortest_side_is_torchvisions_resize_and_crop(
    size: tuple[int, int], sides: tuple[int, int]
) -> None:
    image, prepare = picture(size), ShortestSide(*sides)
    assert torch.equal(shown(prepare, image, IMAGENET), official(*sides, IMAGENET)(image))


@settings(deadline=None, max_examples=20)
@given(SIZES)
def test_clips_images_are_prepared_as_open_clip_does(size: tuple[int, int]) -> None:
    theirs = open_clip.image_transform(224, is_train=False, mean=CLIP.mean, std=CLIP.std)
    image = picture(size)
    assert torch.equal(shown(ShortestSide(224, 224), image, CLIP), theirs(image))


def halves_alike(size: tuple[int, int]) -> bool:
    """Whether torchvision, which rounds half to even, and transformers, down, cut alike."""
    long = 224 * max(size) // min(size) - 224
    return round(long / 2) == long // 2


@settings(deadline=None, max_examples=20)
@given(SIZES)
def test_clips_images_are_those_of_transformers_but_for_where_an_odd_margin_is_cut(
    size: tuple[int, int],
) -> None:
    image = picture(size)
    theirs = CLIPImageProcessorPil()(image, return_tensors="np")["pixel_values"][0]
    ours = shown(ShortestSide(224, 224), image, CLIP).numpy()
    if halves_alike(size):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    else:
        assert np.abs(ours - theirs).max() > 0.01


@settings(deadline=None, max_examples=20)
@given(SIZES)
def test_squash_is_torchvisions_resize_to_both_sides(size: tuple[int, int]) -> None:
    image = picture(size)
    assert torch.equal(
        shown(Squash(224), image, IMAGENET), official((224, 224), 224, IMAGENET)(image)
    )


@settings(deadline=None, max_examples=20)
@given(SIZES)
def test_squash_bilinear_is_transformers_image_processor_for_vit(size: tuple[int, int]) -> None:
    image = picture(size)
    theirs = ViTImageProcessorPil(image_mean=list(IMAGENET.mean), image_std=list(IMAGENET.std))
    expected = theirs(image, return_tensors="np")["pixel_values"][0]
    ours = shown(SquashBilinear(224), image, IMAGENET).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    same = np.allclose(ours, shown(Squash(224), image, IMAGENET).numpy(), atol=1e-3)
    assert same == (size == (224, 224))


@settings(deadline=None, max_examples=20)
@given(SIZES)
def test_crop_first_is_cmmds_square_resized(size: tuple[int, int]) -> None:
    image, short = picture(size), min(size)
    left, top = ((length - short) // 2 for length in size)
    square = Image.fromarray(np.asarray(image)[top : top + short, left : left + short])
    expected = np.asarray(square.resize((336, 336), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(CropFirst(336)(image), expected)


@pytest.mark.parametrize("prepare", [ShortestSide(256, 224), Squash(224), CropFirst(224)])
def test_the_network_is_shown_bytes_of_one_size(prepare: Preparation) -> None:
    for size in ((1, 1), (1, 30), (300, 20)):
        pixels = prepare(picture(size))
        assert pixels.shape == (224, 224, 3) and pixels.dtype == np.uint8


def test_timms_own_248_pixels_would_show_something_else() -> None:
    image = picture((300, 260))
    assert not np.array_equal(ShortestSide(256, 224)(image), ShortestSide(248, 224)(image))


def test_a_description_tells_kind_and_numbers() -> None:
    assert described(ShortestSide(256, 224)) == {"kind": "ShortestSide", "side": 256, "crop": 224}
    assert described(Squash(224)) != described(CropFirst(224))
    assert described(CLIP) != described(IMAGENET)
