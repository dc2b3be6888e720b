"""What is shown to a network: an encoder or comparer with the region of a picture that it sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.api import Comparer, Cutter, Encoder
from bench.gallery import Picture
from bench.identity import identity
from bench.pictures import READING


@dataclass(frozen=True, eq=False)
class View:
    """An encoder and, unless it sees whole images, what cuts a region out of them."""

    network: Encoder
    cutter: Cutter | None = None

    @cached_property
    def recipe(self) -> str:
        """Identity of all that its features follow from, the picture aside."""
        seen = self.cutter.recipe if self.cutter else "whole"
        return identity(["features", self.network.recipe, seen, READING])

    def key(self, picture: Picture) -> str:
        """Identity of what is shown, the recipe aside."""
        return finding_key(picture) if self.cutter else picture.digest


@dataclass(frozen=True, eq=False)
class Comparison:
    """A comparer and, unless it sees whole images, what cuts a region out of both."""

    network: Comparer
    cutter: Cutter | None = None

    @cached_property
    def recipe(self) -> str:
        """Identity of all that its distances follow from, the pictures aside."""
        seen = self.cutter.recipe if self.cutter else "whole"
        return identity(["distances", self.network.recipe, seen, READING])

    def key(self, image: Picture, other: Picture) -> str:
        """Identity of a pair, the recipe aside."""
        pair: Sequence[str] = (image.digest, other.digest)
        return ":".join(map(finding_key, (image, other)) if self.cutter else pair)


def finding_key(picture: Picture) -> str:
    """Identity of a picture and of what is looked for in it."""
    return f"{picture.digest}/{picture.noun}"
