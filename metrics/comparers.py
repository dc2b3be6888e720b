"""Comparers: distances between the pixels of two images. See ``bench.api.Comparer``.

Importing this module imports no torch, and making a comparer builds no network. Weights are only
ever read from this machine (``bench.weights``).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from PIL.Image import Image

from bench import weights
from bench.api import Precision
from bench.errors import UserError
from bench.formats import Unfit, check_all
from bench.identity import file_digest, identity
from bench.metrics.preparation import Squash

if TYPE_CHECKING:
    from bench.api import Pixels
    from bench.metrics.lpips_network import Network

    Pair = tuple[Image, Image]

KEPT_BYTES = 1 << 30
"""How much of what was made of images is held for pairs to come; a pair at hand always is."""


class Features(Protocol):
    """What is made of one image before it is compared."""

    @property
    def nbytes(self) -> int: ...


F = TypeVar("F", bound=Features)


class LpipsComparer:
    """LPIPS 0.1: trained weights on the squared differences of a trunk's unit-length activations.

    0 for the same image; about 0.7 for unrelated photographs. Not resized: the distance depends on
    the resolution. UserError for weights that are not those of the trunk. Source: Zhang et al.
    2018; the package ``lpips`` brings the network and the trained weights.
    """

    def __init__(
        self,
        trunk: str,
        precision: Precision = "fp32",
        path: Path | None = None,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self.name, self.precision = f"lpips-{trunk}", precision
        self.path = path or weights.find(self.name)
        self._trunk, self._kept_bytes = trunk, kept_bytes

    @cached_property
    def digest(self) -> str:
        return identity([weights.digest(self.path), file_digest(trained_heads(self._trunk))])

    @cached_property
    def recipe(self) -> str:
        return identity([self.name, self.digest, self.precision])

    @cached_property
    def network(self) -> "Network":
        """The network, built on first use."""
        from bench.metrics.lpips_network import Network

        try:
            check_all(self.path)
            return Network(self._trunk, self.path, self.precision)
        except (KeyError, RuntimeError, UnpicklingError, EOFError, Unfit) as error:
            raise UserError(
                f"The weights {self.path} are not those of '{self.name}'; replace the file by the "
                "one that torchvision publishes."
            ) from error

    def distances(self, pairs: Sequence["Pair"]) -> list[float]:
        """Every distinct image passes the network once, by itself, memory permitting."""
        check_sizes(pairs)
        network = self.network
        return list(compared(pairs, network.features, network.distance, self._kept_bytes))


class PixelComparer:
    """Mean squared difference of red, green and blue in [0, 1], both images at 512 x 512 (bicubic).

    In [0, 1]. Exact whatever the precision asked for: there is no network.
    """

    name = "pixels"
    precision: Precision = "fp32"
    _squash = Squash(512)

    def __init__(self, precision: Precision = "fp32") -> None:
        # There are no weights: the definition stands for them.
        self.digest = identity("mean squared difference of RGB / 255 at 512 x 512, PIL bicubic, 1")
        self.recipe = identity([self.name, self.digest])

    def distances(self, pairs: Sequence["Pair"]) -> list[float]:
        check_sizes(pairs)
        return list(compared(pairs, self._squash, squared_difference, KEPT_BYTES))


def squared_difference(one: "Pixels", other: "Pixels") -> float:
    """Mean squared difference of equally shaped pixels in 0..255, on the scale of [0, 1]."""
    difference = one.astype(np.int32) - other
    return float(np.square(difference).mean()) / 255**2


def check_sizes(pairs: Sequence["Pair"]) -> None:
    """ValueError for a pair of unequal sizes."""
    for one, other in pairs:
        if one.size != other.size:
            raise ValueError(f"images of unequal sizes, {one.size} and {other.size}: resize one")


def compared(
    pairs: Sequence["Pair"],
    features: Callable[[Image], F],
    distance: Callable[[F, F], float],
    kept_bytes: int,
) -> Iterator[float]:
    """The distance of every pair, each distinct picture's features made once and shared.

    Where more than ``kept_bytes`` would have to be held, those that are needed last are dropped and
    made again.
    """
    names = [(content(one), content(other)) for one, other in pairs]
    uses: defaultdict[str, deque[int]] = defaultdict(deque)
    for position, named in enumerate(names):
        for name in named:
            uses[name].append(position)
    held: dict[str, F] = {}
    for pair, named in zip(pairs, names, strict=True):
        for image, name in zip(pair, named, strict=True):
            if name not in held:
                held[name] = features(image)
        yield distance(held[named[0]], held[named[1]])
        for name in named:
            uses[name].popleft()
        _drop(held, uses, kept_bytes)


def _drop(held: dict[str, F], uses: dict[str, deque[int]], kept_bytes: int) -> None:
    for name in [name for name in held if not uses[name]]:
        del held[name]
    while sum(features.nbytes for features in held.values()) > kept_bytes:
        del held[max(held, key=lambda name: uses[name][0])]


def content(image: Image) -> str:
    """Digest of an RGB image's pixels."""
    return sha256(repr(image.size).encode() + image.tobytes()).hexdigest()


def trained_heads(trunk: str) -> Path:
    """Where the package ``lpips`` keeps the trained weights of a trunk's layers."""
    spec = find_spec("lpips")
    if spec is None or spec.origin is None:
        raise UserError("LPIPS needs the package lpips: pip install lpips.")
    return Path(spec.origin).parent / "weights" / "v0.1" / f"{trunk}.pth"


# AlexNet is the package's default and the one its authors advise for scores.
lpips_alex = partial(LpipsComparer, "alex")
lpips_vgg = partial(LpipsComparer, "vgg")
lpips_squeeze = partial(LpipsComparer, "squeeze")
pixels = PixelComparer
