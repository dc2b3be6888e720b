"""Encoders: model, weights, preprocessing and precision under one name.

Importing this module imports no torch, and making an encoder builds no network: features that are
cached need neither. Weights are only ever read from this machine (``bench.weights``).
"""

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL.Image import Image

from bench import weights
from bench.api import Precision
from bench.errors import UserError
from bench.identity import identity
from bench.metrics.preparation import CLIP, IMAGENET, Colours, ShortestSide, described

if TYPE_CHECKING:
    from bench.api import Embeddings, Pixels
    from bench.metrics.networks import Runner

BATCH = 32


class Preparation(Protocol):
    """An RGB image to what the network is shown; a frozen dataclass of ``bench.metrics``."""

    def __call__(self, image: Image) -> "Pixels": ...


class NetworkEncoder:
    """An encoder whose network a function ``module:name`` builds. See ``bench.api.Encoder``.

    ``build`` takes the weights' path to ``bench.metrics.networks.Towers`` and is imported when
    something is to be encoded.
    """

    def __init__(
        self,
        name: str,
        build: str,
        prepare: Preparation,
        colours: Colours,
        precision: Precision = "fp32",
        path: Path | None = None,
        batch: int = BATCH,
    ) -> None:
        self.name, self.precision = name, precision
        self.path = path or weights.find(name)
        self._build, self._prepare, self._colours, self._batch = build, prepare, colours, batch

    @cached_property
    def digest(self) -> str:
        return weights.digest(self.path)

    @property
    def recipe(self) -> str:
        parts: list[Any] = [self.name, self.digest, self._build, described(self._prepare)]
        return identity([*parts, described(self._colours), self.precision])

    @cached_property
    def runner(self) -> "Runner":
        """The network, built on first use."""
        from bench.metrics.networks import Runner

        module, _, function = self._build.partition(":")
        towers = getattr(import_module(module), function)(self.path)
        return Runner(towers, self.precision, self._batch)

    def prepare(self, image: Image) -> "Pixels":
        return self._prepare(image)

    def encode_images(self, prepared: Sequence["Pixels"]) -> "Embeddings":
        return self.runner.images(prepared, self._colours)

    def encode_texts(self, texts: Sequence[str]) -> "Embeddings":
        if self.runner.towers.texts is None:
            raise UserError(
                f"The encoder '{self.name}' reads images only; choose one with a text tower, "
                "such as clip-vitb32-openai."
            )
        return self.runner.texts(texts)


def dino_vits16(precision: Precision = "fp32") -> NetworkEncoder:
    """DINO ViT-S/16, the normed CLS token (384), as the official k-NN evaluation prepares images.

    timm's own configuration would resize to 248; DINO, Kosmos-G and custom-diffusion use 256.
    Source: Caron et al. 2021; DreamBooth section 4.
    """
    build, prepare = "bench.metrics.vision:dino_vits16", ShortestSide(256, 224)
    return NetworkEncoder("dino-vits16", build, prepare, IMAGENET, precision)


def clip_vitb32_openai(precision: Precision = "fp32") -> NetworkEncoder:
    """OpenAI's CLIP ViT-B/32 (512), 224 pixels, 77 tokens, longer prompts cut.

    Source: Radford et al. 2021.
    """
    build, prepare = "bench.metrics.clip:vitb32_openai", ShortestSide(224, 224)
    return NetworkEncoder("clip-vitb32-openai", build, prepare, CLIP, precision)
