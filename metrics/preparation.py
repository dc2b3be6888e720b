"""What an encoder is shown: resizing and cropping by PIL, as the papers' reference code does."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image, Resampling

if TYPE_CHECKING:
    from bench.api import Pixels

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Colours:
    """Mean and standard deviation of red, green and blue in [0, 1]."""

    mean: Colour
    std: Colour


IMAGENET = Colours((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = Colours((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
GREY = Colours((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class ShortestSide:
    """Shortest side to ``side`` (bicubic, antialiased), then the central square of ``crop``.

    Bit for bit torchvision's Resize and CenterCrop on PIL images.
    """

    side: int
    crop: int

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (crop, crop, 3) uint8."""
        short = min(image.size)
        width, height = (self.side * length // short for length in image.size)
        resized = image.resize((width, height), Resampling.BICUBIC)
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return np.asarray(resized.crop((left, top, left + self.crop, top + self.crop)))


@dataclass(frozen=True)
class Squash:
    """The whole image to a square of ``side``, whatever its shape (bicubic, antialiased)."""

    side: int

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (side, side, 3) uint8."""
        return np.asarray(image.resize((self.side, self.side), Resampling.BICUBIC))


@dataclass(frozen=True)
class SquashBilinear:
    """As ``Squash``, but bilinear (antialiased), as transformers' ``ViTImageProcessor`` does it."""

    side: int

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (side, side, 3) uint8."""
        return np.asarray(image.resize((self.side, self.side), Resampling.BILINEAR))


@dataclass(frozen=True)
class CropFirst:
    """The central square of the image, then to ``side`` (bicubic, antialiased), as CMMD does it."""

    side: int

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (side, side, 3) uint8."""
        width, height = image.size
        length = min(width, height)
        left, top = (width - length) // 2, (height - length) // 2
        square = image.crop((left, top, left + length, top + length))
        return np.asarray(square.resize((self.side, self.side), Resampling.BICUBIC))


def described(preparation: Any) -> dict[str, Any]:
    """Kind and numbers of a preparation (a dataclass), for identities."""
    return {"kind": type(preparation).__name__, **asdict(preparation)}
