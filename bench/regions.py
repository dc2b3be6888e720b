"""Regions of pictures: what a protocol lets an encoder see."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL.Image import Resampling

from bench.api import Region
from bench.gallery import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

    Opened = tuple[Picture, Image]


class Regions:
    """Whole images."""

    def recipe(self, region: Region) -> str:
        """Identity of how the region is found."""
        return region

    def cut(self, region: Region, opened: "Sequence[Opened]") -> "list[Image]":
        """The region of every picture."""
        return [image for _, image in opened]

    def pair(self, region: Region, one: "Opened", other: "Opened") -> "tuple[Image, Image]":
        """The same region of two pictures, the second at the size of the first."""
        image, partner = one[1], other[1]
        if partner.size != image.size:
            partner = partner.resize(image.size, Resampling.BICUBIC)
        return image, partner
