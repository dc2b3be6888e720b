"""Inception under the three ways of resizing that FID and KID are published with.

All read the weights ``inception-2015``; scores of different ways are not comparable. Importing
this module imports no torch. Sources: clean-fid, resize.py; torch-fidelity,
interpolate_compat_tensorflow.py; Parmar et al. 2022.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling

from bench.metrics.encoders import Factory, NetworkEncoder, Preparation
from bench.metrics.preparation import GREY, Colours

if TYPE_CHECKING:
    from bench.api import Pixels

Place = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

SIDE = 299
TENSORFLOW = Colours((128 / 255,) * 3, (128 / 255,) * 3)
"""(x - 128) / 128 for x in 0..255."""


@dataclass(frozen=True)
class SquashUnrounded:
    """The whole image to a square of ``side`` (bicubic, antialiased), its colours not rounded."""

    side: int

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (side, side, 3) float32 in 0..255."""
        bands = [
            band.convert("F").resize((self.side, self.side), Resampling.BICUBIC)
            for band in image.split()
        ]
        return np.stack([np.asarray(band) for band in bands], axis=-1).clip(0, 255)


@dataclass(frozen=True)
class Bilinear:
    """The whole image to a square of ``side``, bilinear from four pixels: no antialiasing.

    ``centred`` places pixels as PyTorch does, by their centres; else as TensorFlow 1 did, by their
    upper left corners.
    """

    side: int
    centred: bool

    def __call__(self, image: Image) -> "Pixels":
        """RGB image to (side, side, 3) float32 in 0..255."""
        pixels = np.asarray(image, np.float32)
        (top, bottom, down), (left, right, along) = map(self._places, pixels.shape[:2])
        rows = np.stack([pixels[top], pixels[bottom]])
        edges = rows[:, :, left] + (rows[:, :, right] - rows[:, :, left]) * along[:, None]
        upper, lower = edges
        between: NDArray[np.float32] = upper + (lower - upper) * down[:, None, None]
        return between

    def _places(self, length: int) -> Place:
        """For every new pixel: the old ones around it, and how far it is from the first."""
        scale, offset = np.float32(length / self.side), np.float32(self.centred / 2)
        at = (np.arange(self.side, dtype=np.float32) + offset) * scale - offset
        at = at.clip(0)
        first = at.astype(np.int64)
        return first, (first + 1).clip(max=length - 1), at - first.astype(np.float32)


def _encoder(name: str, prepare: Preparation, colours: Colours) -> Factory:
    build = "bench.metrics.inception:inception_2015"
    return partial(NetworkEncoder, name, build, prepare, colours, stored="inception-2015")


inception_2015_clean = _encoder("inception-2015-clean", SquashUnrounded(SIDE), TENSORFLOW)
# clean-fid's legacy_pytorch and pytorch-fid go to [-1, 1] by 2 x / 255 - 1.
inception_2015_legacy = _encoder("inception-2015-legacy", Bilinear(SIDE, centred=True), GREY)
inception_2015_tf = _encoder("inception-2015-tf", Bilinear(SIDE, centred=False), TENSORFLOW)
