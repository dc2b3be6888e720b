"""LPIPS taken apart: features of one image, and the distance between two images' features.

The network is the package's own; only the order is ours, so that an image that stands in several
pairs passes it once. Source: Zhang et al. 2018; lpips/lpips.py.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lpips
import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from bench.metrics.networks import DTYPES, exactly

if TYPE_CHECKING:
    from bench.api import Precision

SMALLEST = 32
"""Pixels below which the last layers of a trunk see nothing."""


@dataclass(frozen=True)
class Activations:
    """An image's activations of every layer that counts, (1, C, H, W), of unit length over C."""

    layers: list[Tensor]

    @property
    def nbytes(self) -> int:
        return sum(layer.nbytes for layer in self.layers)


class Network:
    """LPIPS over one trunk, on the GPU where there is one."""

    def __init__(self, trunk: str, weights: Path, precision: "Precision") -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype, self.precision = DTYPES[precision], precision
        self.model = build(trunk, weights).to(self.device)
        self.model.net.to(self.dtype)

    def features(self, image: Image) -> Activations:
        """Of an RGB image by itself, so that no batch can move a digit. ValueError if too small."""
        if min(image.size) < SMALLEST:
            raise ValueError(f"LPIPS needs at least {SMALLEST} pixels a side, not {image.size}")
        pixels = torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1)[None]
        with exactly(self.precision):
            scaled = self.model.scaling_layer(pixels.float() / 127.5 - 1)
            layers = self.model.net(scaled.to(self.dtype))
            # Lengths in half precision would overflow, so what follows the trunk is fp32.
            return Activations([lpips.normalize_tensor(layer.float()) for layer in layers])

    def distance(self, one: Activations, other: Activations) -> float:
        """Between the features of two images of one size."""
        layers = zip(self.model.lins, one.layers, other.layers, strict=True)
        with exactly(self.precision):
            return float(sum(head((a - b) ** 2).mean() for head, a, b in layers))


def build(trunk: str, weights: Path) -> Any:
    """The package's network, its trunk from torchvision's classifier. KeyError for another's."""
    with warnings.catch_warnings():
        # The package still asks torchvision for a trunk in words that are no longer liked.
        warnings.simplefilter("ignore", UserWarning)
        model = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    classifier = torch.load(weights, map_location="cpu", weights_only=True)
    names = {name: f"features.{name.partition('.')[2]}" for name in model.net.state_dict()}
    model.net.load_state_dict({name: classifier[names[name]] for name in names})
    return model
