"""A protocol's regions: what is remembered of an image, and what is shown of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.metrics import regions
from bench.metrics.cutters import Background, Box, Subject
from bench.metrics.regions import NEUTRAL, WHITE, Grounding, Mask

BOX = (4.0, 6.0, 19.0, 21.0)


class LooksInTheMiddle:
    """Finds cats at one place, and nothing else."""

    recipe = "middle/1"

    def ground(self, images: Sequence[Image.Image], nouns: Sequence[str]) -> list[Grounding]:
        return [Grounding(BOX if noun == "cat" else None, 0.5) for noun in nouns]


class OutlinesADisc:
    """Everything is round; counts what it is asked."""

    recipe = "disc/1"

    def __init__(self) -> None:
        self.asked = 0

    def mask(self, images: Sequence[Image.Image], boxes: Sequence[regions.Box]) -> list[Mask]:
        self.asked += len(images)
        return [disc(image.size) for image in images]


def disc(size: tuple[int, int]) -> Mask:
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    inside: Mask = np.hypot(across - 12, down - 13) < 6
    return inside


def picture(seed: int, size: tuple[int, int] = (32, 28)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 200, (size[1], size[0], 3), np.uint8))


@pytest.fixture
def masker(monkeypatch: pytest.MonkeyPatch) -> OutlinesADisc:
    outlines = OutlinesADisc()
    monkeypatch.setattr("bench.metrics.cutters.Grounder", LooksInTheMiddle)
    monkeypatch.setattr("bench.metrics.cutters.Masker", lambda: outlines)
    return outlines


@pytest.mark.parametrize("kind", [Box, Subject, Background])
def test_what_is_shown_is_the_region_of_the_finding(kind: type[Box], masker: OutlinesADisc) -> None:
    cutter, image = kind(), picture(0)
    (finding,) = cutter.find([image], ["cat"])
    mask = None if kind is Box else disc(image.size)
    expected = regions.apply(kind.region, image, Grounding(BOX, 0.5), mask)
    assert cutter.found(finding)
    assert cutter.show(image, finding).tobytes() == expected.tobytes() != image.tobytes()


def test_the_subject_stands_on_white_and_the_background_hides_it(masker: OutlinesADisc) -> None:
    image = picture(0)
    shown = {kind: kind() for kind in (Subject, Background)}
    subject, background = (
        np.asarray(cutter.show(image, cutter.find([image], ["cat"])[0]))
        for cutter in shown.values()
    )
    assert tuple(subject[0, 0]) == WHITE
    assert tuple(background[13, 12]) == NEUTRAL
    outside = ~disc(image.size)
    assert (background[outside] == np.asarray(image)[outside]).all()


@pytest.mark.parametrize("kind", [Box, Subject, Background])
def test_what_is_not_found_is_shown_whole_and_nobody_outlines_it(
    kind: type[Box], masker: OutlinesADisc
) -> None:
    cutter, image = kind(), picture(0)
    (finding,) = cutter.find([image], ["dog"])
    assert not cutter.found(finding)
    assert cutter.show(image, finding).tobytes() == image.tobytes()
    assert masker.asked == 0


def test_each_image_is_searched_for_its_own_noun(masker: OutlinesADisc) -> None:
    cutter = Box()
    findings = cutter.find([picture(0), picture(1), picture(2)], ["cat", "dog", "cat"])
    assert [cutter.found(finding) for finding in findings] == [True, False, True]


def test_a_pair_of_backgrounds_hides_both_subjects_in_both(masker: OutlinesADisc) -> None:
    cutter, one, other = Background(), picture(0), picture(1, (64, 56))
    findings = cutter.find([one, other], ["cat", "cat"])
    shown = cutter.show_pair(one, findings[0], other, findings[1])
    assert shown[0].size == shown[1].size == one.size
    hidden = disc(one.size)
    for image in shown:
        assert (np.asarray(image)[hidden] == NEUTRAL).all()


def test_a_pair_of_boxes_has_the_size_of_the_first(masker: OutlinesADisc) -> None:
    cutter, one, other = Box(), picture(0), picture(1, (64, 56))
    findings = cutter.find([one, other], ["cat", "dog"])
    assert {image.size for image in cutter.show_pair(one, findings[0], other, findings[1])} == {
        cutter.show(one, findings[0]).size
    }


def test_regions_with_a_mask_share_what_was_found_and_no_other(masker: OutlinesADisc) -> None:
    assert Subject().findings == Background().findings != Box().findings
    assert len({kind().recipe for kind in (Box, Subject, Background)}) == 3


def test_weights_that_are_not_here_are_named(home: Path) -> None:
    with pytest.raises(Exception, match="bench weights fetch grounding-dino-tiny"):
        Box()
