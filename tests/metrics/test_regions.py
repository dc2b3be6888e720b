"""What of an image is shown, and how findings are kept."""

import subprocess
import sys
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from bench.api import Region
from bench.metrics.regions import (
    NEUTRAL,
    WHITE,
    Box,
    Grounding,
    Mask,
    apply,
    background_pair,
    blank,
    found,
    from_vector,
    packed,
    pixels,
    to_vector,
    unpacked,
)
from tests.networks import picture

REGIONS = ("whole", "box", "subject", "background")
LOOKED_FOR = ("box", "subject", "background")
OUTLINED = ("subject", "background")
MISSED = Grounding(None, 0.2)
FOUND = Grounding((10.0, 5.0, 29.5, 24.5), 0.9)

coordinates = st.floats(-2000, 2000, width=32)
boxes = st.tuples(coordinates, coordinates, coordinates, coordinates)
groundings = st.builds(Grounding, st.none() | boxes, st.floats(0, 1, width=32))
masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


def disc(size: tuple[int, int] = (40, 30), radius: float = 8) -> Mask:
    """A round subject in the middle of the box of ``FOUND``."""
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return cast(Mask, (across - 20) ** 2 + (down - 15) ** 2 <= radius**2)


@given(groundings)
def test_groundings_are_kept_bit_for_bit(grounding: Grounding) -> None:
    vector = to_vector(grounding)
    assert vector.dtype == np.float32 and vector.shape == (5,)
    assert from_vector(vector) == grounding


@given(masks)
def test_masks_are_kept_bit_for_bit(mask: Mask) -> None:
    bits = packed(mask)
    assert bits.dtype == np.uint8 and len(bits) == 8 + (mask.size + 7) // 8
    kept = unpacked(bits)
    assert kept.dtype == mask.dtype
    np.testing.assert_array_equal(kept, mask)


def test_a_whole_image_is_shown_as_it_is() -> None:
    image = picture((40, 30))
    assert apply("whole", image, FOUND, disc()) is image


@pytest.mark.parametrize("region", REGIONS)
def test_the_whole_image_is_shown_where_nothing_was_found(region: Region) -> None:
    image = picture((40, 30))
    assert apply(region, image, MISSED) is image


@pytest.mark.parametrize("region", LOOKED_FOR)
def test_what_was_not_found_is_said_so(region: Region) -> None:
    assert not found(region, MISSED)
    assert found(region, FOUND, disc())


@pytest.mark.parametrize("region", OUTLINED)
def test_an_empty_mask_is_nothing_found(region: Region) -> None:
    image, empty = picture((40, 30)), np.zeros((30, 40), np.bool_)
    assert not found(region, FOUND, empty)
    assert apply(region, image, FOUND, empty) is image


@pytest.mark.parametrize("region", OUTLINED)
def test_a_mask_that_is_not_given_is_a_mistake_not_a_whole_image(region: Region) -> None:
    with pytest.raises(ValueError, match=f"'{region}' takes a mask"):
        apply(region, picture((40, 30)), FOUND)


def test_a_box_is_cropped_to_the_pixels_of_both_its_corners() -> None:
    image = picture((40, 30))
    shown = np.asarray(apply("box", image, FOUND))
    np.testing.assert_array_equal(shown, np.asarray(image)[5:25, 10:30])


@given(boxes, st.integers(1, 50), st.integers(1, 50))
def test_a_crop_is_never_empty_nor_beyond_the_image(box: Box, width: int, height: int) -> None:
    left, top, right, bottom = pixels(box, (width, height))
    assert 0 <= left < right <= width and 0 <= top < bottom <= height


INSIDE = st.tuples(st.floats(0, 49.5), st.floats(0, 49.5))


@given(INSIDE.map(sorted), INSIDE.map(sorted))
def test_a_crop_holds_its_box_and_less_than_a_pixel_more(
    across: list[float], down: list[float]
) -> None:
    left, top, right, bottom = pixels((across[0], down[0], across[1], down[1]), (50, 50))
    for low, high, (first, last) in ((left, right, across), (top, bottom, down)):
        assert low <= first < low + 1 and high - 1 <= last < high


def test_a_subject_is_cropped_to_its_box_and_stands_on_white() -> None:
    image = picture((40, 30))
    shown = np.asarray(apply("subject", image, FOUND, disc()))
    expected = np.where(disc()[..., None], np.asarray(image), WHITE)[5:25, 10:30]
    np.testing.assert_array_equal(shown, expected)


def test_a_background_is_the_whole_frame_with_its_subject_hidden() -> None:
    image = picture((40, 30))
    shown = np.asarray(apply("background", image, FOUND, disc()))
    expected = np.where(disc()[..., None], NEUTRAL, np.asarray(image))
    np.testing.assert_array_equal(shown, expected)


def test_what_is_shown_of_a_subject_and_of_its_background_is_the_image() -> None:
    image, everywhere = picture((40, 30)), Grounding((0.0, 0.0, 39.0, 29.0), 0.9)
    subject, background = (
        np.asarray(apply(region, image, everywhere, disc())) for region in OUTLINED
    )
    joined = np.where(disc()[..., None], subject, background)
    np.testing.assert_array_equal(joined, np.asarray(image))


def test_blanking_leaves_the_image_itself_alone() -> None:
    image = picture((40, 30))
    before = image.tobytes()
    assert blank(image, disc(), WHITE).tobytes() != before
    assert image.tobytes() == before


def test_a_mask_of_another_size_is_a_mistake() -> None:
    image, turned = picture((40, 30)), disc((30, 40))
    with pytest.raises(ValueError, match="does not fit"):
        blank(image, turned, WHITE)
    for masks in ((turned, None), (None, turned)):
        with pytest.raises(ValueError, match="does not fit"):
            background_pair(image, masks[0], image, masks[1])


def test_a_pair_of_backgrounds_hides_both_subjects_in_both() -> None:
    image, other = picture((40, 30), 0), picture((40, 30), 1)
    one, two = disc(radius=8), np.roll(disc(radius=6), 10, axis=1)
    shown = [np.asarray(part) for part in background_pair(image, one, other, two)]
    for part, of in zip(shown, (image, other), strict=True):
        expected = np.where((one | two)[..., None], NEUTRAL, np.asarray(of))
        np.testing.assert_array_equal(part, expected)


def test_a_pair_of_backgrounds_has_the_size_of_the_first() -> None:
    image, other = picture((40, 30), 0), picture((80, 90), 1)
    coarse = disc((40, 30))
    fine = np.asarray(Image.fromarray(coarse).resize((80, 90), Image.Resampling.NEAREST))
    first, second = background_pair(image, None, other, fine)
    resized = np.asarray(other.resize((40, 30), Image.Resampling.BICUBIC))
    hidden = coarse[..., None]
    np.testing.assert_array_equal(np.asarray(second), np.where(hidden, NEUTRAL, resized))
    np.testing.assert_array_equal(np.asarray(first), np.where(hidden, NEUTRAL, np.asarray(image)))


def test_a_pair_in_which_nothing_was_found_is_shown_as_it_is() -> None:
    image, other = picture((40, 30), 0), picture((40, 30), 1)
    first, second = background_pair(image, None, other, None)
    assert (first.tobytes(), second.tobytes()) == (image.tobytes(), other.tobytes())


def test_cutting_imports_no_torch() -> None:
    program = """
import sys
import numpy as np
from PIL import Image
from bench.metrics.regions import Grounding, apply, packed, unpacked
mask = unpacked(packed(np.eye(8, dtype=bool)))
apply("background", Image.new("RGB", (8, 8)), Grounding((0, 0, 8, 8), 1), mask)
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
