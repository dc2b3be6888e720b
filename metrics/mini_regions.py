"""Regions of the mini world's images, found by no network: all that its scenes can be is known.

The subject is the largest thing by which an image differs from the scene that fits it best.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling, fromarray
from scipy import ndimage

from bench.identity import identity
from bench.metrics.cutters import Background, Box, Finding, Subject, written
from bench.metrics.regions import Grounding, Mask
from bench.mini.grammar import COLOURS, OBJECTS, PLACES, SIDES, TIMES, Scene
from bench.mini.world import SIZE, render_setting

REVISION = 1
TOLERANCE = 24
"""By how much of 255 a colour may be off: a generator's images are no exact drawings."""
LEAST, MOST = 0.03, 0.5
"""Shares of the frame: the smallest subject, and the most that may differ from any scene."""
Stack = NDArray[np.int16]
"""(N, 32, 32, 3)"""


def segment(image: Image) -> tuple[Grounding, Mask | None]:
    """The subject's box and mask in an RGB image of any size; its score is the share of the frame
    that a scene explains.

    Neither box nor mask where the image is no scene of the mini world, or an empty one.
    """
    differing = _differing(np.asarray(image.resize((SIZE, SIZE), Resampling.BOX), np.int16))
    mask, score = _largest(differing), float(1 - differing.mean())
    if differing.mean() > MOST or mask.mean() < LEAST:
        return Grounding(None, score), None
    mask = np.asarray(fromarray(mask).resize(image.size, Resampling.NEAREST))
    down, across = np.nonzero(mask)
    box = float(across.min()), float(down.min()), float(across.max()), float(down.max())
    return Grounding(box, score), mask


def _differing(pixels: NDArray[np.int16]) -> Mask:
    """Where (32, 32, 3) pixels are not those of the best-fitting scene."""
    empty = _nearest(pixels, _empty())
    settings = _furnished(empty)
    off: Mask = _off(pixels, settings[_nearest(pixels, settings)]) > TOLERANCE
    return off


def _nearest(pixels: NDArray[np.int16], settings: Stack) -> int:
    """The setting that fits best; where a subject hides it, all are equally wrong."""
    off = np.minimum(_off(pixels, settings), TOLERANCE)
    return int(off.sum(axis=(1, 2)).argmin())


def _off(pixels: NDArray[np.int16], settings: Stack) -> NDArray[np.int16]:
    off: NDArray[np.int16] = np.abs(settings - pixels).max(axis=-1)
    return off


def _largest(differing: Mask) -> Mask:
    """The largest connected thing, its holes filled."""
    parts, count = ndimage.label(ndimage.binary_fill_holes(differing))
    sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
    largest: Mask = parts == 1 + np.argmax(sizes) if count else differing
    return largest


@cache
def _empty() -> Stack:
    """White as behind references, and every place at every time."""
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    return _stack([white, *(render_setting(scene) for scene in SCENES)])


@cache
def _furnished(place: int) -> Stack:
    """One of ``_empty``, and what it is with every second object."""
    alone = _empty()[place]
    return _stack([alone, *(map(render_setting, _with_others(SCENES[place - 1])) if place else ())])


SCENES = [Scene(place, time) for place, time in product(PLACES, TIMES)]


def _with_others(scene: Scene) -> Iterator[Scene]:
    for other, colour, side in product(OBJECTS, COLOURS, SIDES):
        yield replace(scene, other=other, other_colour=colour, side=side)


def _stack(images: Sequence[NDArray[Any]]) -> Stack:
    return np.stack(images).astype(np.int16)


class _Segmented:
    """What the three regions share: one finding, of box and mask."""

    def __init__(self) -> None:
        """There are no weights."""

    @cached_property
    def findings(self) -> str:
        return identity(["mini scenes", REVISION, TOLERANCE, LEAST, MOST])

    def find(self, images: Sequence[Image], nouns: Sequence[str]) -> list[Finding]:
        """Nouns are not needed: there is one subject in a scene."""
        return [written(*segment(image)) for image in images]


class MiniBox(_Segmented, Box):
    """The box of the subject; the whole image where nothing was found."""


class MiniSubject(_Segmented, Subject):
    """The subject on white, cropped to its box; the whole image where nothing was found."""


class MiniBackground(_Segmented, Background):
    """The frame with the subject hidden; in a pair, both subjects are hidden in both images."""
