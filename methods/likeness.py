"""How unlike a subject's photographs an image is, in a form that gradients flow through.

An objective is a text: ``dino:1,ir:1`` is DINO's negative cosine plus IR's. Source: SISO
(arXiv 2503.16025), Sec. 3.1, where a distance is the negative cosine in its released code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import InterpolationMode, center_crop, pil_to_tensor, resize

from bench import registry
from bench.errors import UserError
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import CropFirst, ShortestSide, Squash

METRICS: Mapping[str, str] = {
    "dino": "dinov2-vitl14-518",
    "ir": "ir-guie-vith14",
    "clip_i": "clip-vitb32-openai",
}
"""The encoders that SISO means by metrics' names."""
MINI: Mapping[str, str] = {"dino": "mini-dino", "clip_i": "mini-clip"}


@dataclass(frozen=True)
class Loss:
    """A scalar, and what it is made of."""

    total: Tensor
    figures: Mapping[str, float]


def parse(text: str) -> dict[str, float]:
    """``dino:1,ir:0.5`` to weights by name; a name alone has weight 1.

    UserError for weights that are no positive numbers and for names said twice.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, said = part.strip().partition(":")
        weight = said if colon else "1"
        if not name or name in weights or not _positive(weight):
            raise UserError(
                f"The objective '{text}' is not of the form dino:1,ir:1; name each encoder once, "
                "with a weight above 0."
            )
        weights[name] = float(weight)
    return weights


def spelt(text: str) -> str:
    """Equal objectives as equal texts."""
    said = ((name, repr(weight).removesuffix(".0")) for name, weight in parse(text).items())
    return ",".join(f"{name}:{weight}" for name, weight in said)


class Objective:
    """What likeness is measured by; nothing is built before an image is looked at.

    UserError for encoders that are unknown, that are not on this machine, or that no gradient
    flows through here.
    """

    def __init__(self, text: str, mini: bool = False) -> None:
        known = MINI if mini else METRICS
        self.eyes = [Eye(name, weight, known) for name, weight in parse(text).items()]

    @property
    def recipes(self) -> dict[str, str]:
        """What the objective follows from, beside its text."""
        return {f"{eye.name}_recipe": eye.encoder.recipe for eye in self.eyes}

    def towards(self, photographs: Sequence[Image]) -> "Likeness":
        """The loss of an image that is to be like these photographs."""
        return Likeness(self.eyes, photographs)


class Eye:
    """An encoder that gradients flow through, and what it counts for."""

    def __init__(self, name: str, weight: float, known: Mapping[str, str]) -> None:
        self.name, self.weight = name, weight
        self.encoder: Any = registry.load("encoder", _encoder(name, known))()
        preparation = getattr(self.encoder, "preparation", None)
        if not isinstance(preparation, ShortestSide | CropFirst | Squash):
            raise UserError(
                f"No gradient flows through '{name}' here; choose {', '.join(known)} or another "
                "encoder of images, such as dino-vits16, for the option 'objective'."
            )

    @cached_property
    def network(self) -> NetworkEncoder:
        """The encoder with its network built and frozen."""
        self.encoder.runner.towers.module.requires_grad_(False)
        encoder: NetworkEncoder = self.encoder
        return encoder

    def features(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to features (B, D) in fp32."""
        runner, colours = self.network.runner, self.network.colours
        shown = prepared(images.to(runner.device), self.network.preparation)
        mean, std = (
            shown.new_tensor(values).view(3, 1, 1) for values in (colours.mean, colours.std)
        )
        features = runner.towers.images(((shown - mean) / std).to(runner.dtype))
        return features.float()


class Likeness:
    """The weighted sum of negative cosines to photographs; of several, the mean cosine counts."""

    def __init__(self, eyes: Sequence[Eye], photographs: Sequence[Image]) -> None:
        self._eyes, self._photographs = eyes, photographs

    def __call__(self, images: Tensor) -> Loss:
        """Of images (B, 3, H, W) in [0, 1], the mean; the figures are cosines in [-1, 1]."""
        cosines = [
            F.cosine_similarity(eye.features(images)[:, None], aim[None], dim=2).mean()
            for eye, aim in zip(self._eyes, self._aims, strict=True)
        ]
        weighed = [-eye.weight * cos for eye, cos in zip(self._eyes, cosines, strict=True)]
        figures = {eye.name: cos.item() for eye, cos in zip(self._eyes, cosines, strict=True)}
        return Loss(torch.stack(weighed).sum(), figures)

    @cached_property
    def _aims(self) -> list[Tensor]:
        """Features (P, D) of the photographs, each in full and at its own size."""
        with torch.no_grad():
            return [
                torch.cat([eye.features(_pixels(image)) for image in self._photographs])
                for eye in self._eyes
            ]


def prepared(images: Tensor, preparation: Any) -> Tensor:
    """What an encoder is shown of images (B, 3, H, W), bicubic as it does it, but not antialiased.

    Nothing is resampled where an image has the encoder's size already. Source: SISO's code.
    """
    match preparation:
        case ShortestSide(side, crop):
            return center_crop(_resized(images, [side]), [crop, crop])
        case CropFirst(side):
            least = min(images.shape[-2:])
            return _resized(center_crop(images, [least, least]), [side, side])
        case Squash(side):
            return _resized(images, [side, side])
    raise TypeError(f"no way to show images as {preparation}")


def _resized(images: Tensor, size: list[int]) -> Tensor:
    return resize(images, size, InterpolationMode.BICUBIC, antialias=False)


def _pixels(image: Image) -> Tensor:
    return pil_to_tensor(image.convert("RGB"))[None].float() / 255


def _encoder(name: str, known: Mapping[str, str]) -> str:
    """The encoder that a name in an objective stands for."""
    if name in known:
        return known[name]
    if name in METRICS:
        raise UserError(
            f"The mini world has no encoder for '{name}'; choose {' or '.join(known)} in the "
            "option 'objective'."
        )
    return name


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False
