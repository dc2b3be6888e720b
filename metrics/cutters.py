"""Cutters: a protocol's regions, found by Grounding DINO and SAM. See ``bench.api.Cutter``."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from bench.api import Region
from bench.identity import identity
from bench.metrics import regions
from bench.metrics.regions import REVISION, Grounder, Grounding, Mask, Masker

Finding = NDArray[Any]
BOX_BYTES = 20


class Box:
    """The detected box; the whole image where nothing was found."""

    region: Region = "box"

    def __init__(self) -> None:
        self._grounder = Grounder()

    @cached_property
    def findings(self) -> str:
        return identity(["findings", self._grounder.recipe])

    @cached_property
    def recipe(self) -> str:
        return identity([self.region, REVISION, self.findings])

    def find(self, images: Sequence[Image], nouns: Sequence[str]) -> list[Finding]:
        """(5,) float32 numbers as bytes."""
        return [written(grounding, None) for grounding in self._grounder.ground(images, nouns)]

    def found(self, finding: Finding) -> bool:
        return regions.found(self.region, *_read(finding))

    def show(self, image: Image, finding: Finding) -> Image:
        return regions.apply(self.region, image, *_read(finding))

    def show_pair(
        self, image: Image, finding: Finding, other: Image, other_finding: Finding
    ) -> tuple[Image, Image]:
        """Both regions, the second resized (bicubic) to the size of the first."""
        one, two = self.show(image, finding), self.show(other, other_finding)
        return one, two if two.size == one.size else two.resize(one.size, Resampling.BICUBIC)


class Subject(Box):
    """The subject on white, cropped to its box; the whole image where nothing was found."""

    region: Region = "subject"

    def __init__(self) -> None:
        super().__init__()
        self._masker = Masker()

    @cached_property
    def findings(self) -> str:
        return identity(["findings", self._grounder.recipe, self._masker.recipe])

    def find(self, images: Sequence[Image], nouns: Sequence[str]) -> list[Finding]:
        """The box's numbers as bytes, and after them the mask where there is a box."""
        groundings = self._grounder.ground(images, nouns)
        masks = [
            self._masker.mask([image], [grounding.box])[0] if grounding.box else None
            for image, grounding in zip(images, groundings, strict=True)
        ]
        return list(map(written, groundings, masks))


class Background(Subject):
    """The frame with the subject hidden; in a pair, both subjects are hidden in both images."""

    region: Region = "background"

    def show_pair(
        self, image: Image, finding: Finding, other: Image, other_finding: Finding
    ) -> tuple[Image, Image]:
        (_, mask), (_, other_mask) = _read(finding), _read(other_finding)
        return regions.background_pair(image, mask, other, other_mask)


def written(grounding: Grounding, mask: Mask | None) -> Finding:
    """What a cutter remembers: the box's numbers as bytes, and after them the mask."""
    box = regions.to_vector(grounding).view(np.uint8)
    return box if mask is None else np.concatenate([box, regions.packed(mask)])


def _read(finding: Finding) -> tuple[Grounding, Mask | None]:
    box, mask = finding[:BOX_BYTES], finding[BOX_BYTES:]
    grounding = regions.from_vector(box.view(np.float32))
    return grounding, regions.unpacked(mask) if len(mask) else None
