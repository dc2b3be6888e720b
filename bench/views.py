"""What is shown to a network: an encoder or comparer with the region of a picture that it sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.api import Comparer, Encoder, Region
from bench.gallery import Picture
from bench.identity import identity
from bench.pictures import READING

if TYPE_CHECKING:
    from PIL.Image import Image

    from bench.regions import Regions

    Opened = tuple[Picture, Image]


@dataclass(frozen=True, eq=False)
class View:
    """An encoder and the region that it is shown."""

    network: Encoder
    region: Region
    regions: "Regions"

    @cached_property
    def recipe(self) -> str:
        """Identity of all that its features follow from, the picture aside."""
        seen = self.regions.recipe(self.region)
        return identity(["features", self.network.recipe, seen, READING])

    def key(self, picture: Picture) -> str:
        """Identity of what is shown, the recipe aside: a region depends on what was looked for."""
        return picture.digest if self.region == "whole" else f"{picture.digest}/{picture.noun}"

    def shown(self, opened: "Sequence[Opened]") -> "list[Image]":
        """The region of every picture."""
        return self.regions.cut(self.region, opened)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparer and the region of both pictures that it is shown."""

    network: Comparer
    region: Region
    regions: "Regions"

    @cached_property
    def recipe(self) -> str:
        """Identity of all that its distances follow from, the pictures aside."""
        seen = self.regions.recipe(self.region)
        return identity(["distances", self.network.recipe, seen, READING])

    def key(self, image: Picture, other: Picture) -> str:
        """Identity of a pair."""
        nouns = "" if self.region == "whole" else f"/{image.noun}/{other.noun}"
        return f"{image.digest}:{other.digest}{nouns}"

    def distances(self, pairs: "Sequence[tuple[Opened, Opened]]") -> list[float]:
        """One number per pair; the second image is brought to the size of the first."""
        shown = [self.regions.pair(self.region, *pair) for pair in pairs]
        return self.network.distances(shown)
