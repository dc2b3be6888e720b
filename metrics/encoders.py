"""Encoders: model, weights, preprocessing and precision under one name.

Importing this module imports no torch, and making an encoder builds no network: features that are
cached need neither. Weights are only ever read from this machine (``bench.weights``).
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Protocol

from PIL.Image import Image
from safetensors import SafetensorError

from bench import weights
from bench.api import Precision
from bench.errors import UserError
from bench.formats import Unfit, check_all
from bench.identity import identity
from bench.metrics.preparation import (
    CLIP,
    GREY,
    IMAGENET,
    Colours,
    CropFirst,
    ShortestSide,
    Squash,
    SquashBilinear,
    described,
)

if TYPE_CHECKING:
    from bench.api import Embeddings, Pixels
    from bench.metrics.networks import Runner

BATCH = 32
MISFITS = (RuntimeError, KeyError, EOFError, UnpicklingError, SafetensorError, Unfit)
"""What loading a file raises that holds other weights, or none."""


class Preparation(Protocol):
    """An RGB image to what the network is shown; a frozen dataclass of ``bench.metrics``."""

    def __call__(self, image: Image) -> "Pixels": ...


class NetworkEncoder:
    """An encoder whose network a function ``module:name`` builds. See ``bench.api.Encoder``.

    ``build`` takes the weights' path to ``bench.metrics.networks.Towers`` and is imported when
    something is to be encoded. ``stored`` is the name of the weights where it is not the encoder's.
    UserError for weights that are not here or belong to another network.
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
        stored: str | None = None,
    ) -> None:
        self.name, self.precision = name, precision
        self.path = path or weights.find(stored or name)
        self._build, self.preparation, self.colours, self._batch = build, prepare, colours, batch

    @cached_property
    def digest(self) -> str:
        return weights.digest(self.path)

    @cached_property
    def recipe(self) -> str:
        parts: list[Any] = [self.name, self.digest, self._build, described(self.preparation)]
        return identity([*parts, described(self.colours), self.precision])

    @cached_property
    def runner(self) -> "Runner":
        """The network, built on first use."""
        from bench.metrics.networks import Runner

        module, _, function = self._build.partition(":")
        build = getattr(import_module(module), function)
        try:
            check_all(self.path)  # not every version of every library that reads them does
            towers = build(self.path)
        except MISFITS as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"The weights {self.path} are not those of '{self.name}' ({reason}); replace the "
                "file."
            ) from error
        return Runner(towers, self.precision, self._batch)

    def prepare(self, image: Image) -> "Pixels":
        return self.preparation(image)

    def encode_images(self, prepared: Sequence["Pixels"]) -> "Embeddings":
        return self.runner.images(prepared, self.colours)

    def encode_texts(self, texts: Sequence[str]) -> "Embeddings":
        if self.runner.towers.texts is None:
            raise UserError(
                f"The encoder '{self.name}' reads images only; choose one with a text tower, "
                "such as clip-vitb32-openai."
            )
        return self.runner.texts(texts)


Factory = Callable[..., NetworkEncoder]
"""Called as ``factory(precision=...)``."""


def _built(module: str, name: str, prepare: Preparation, colours: Colours, **more: Any) -> Factory:
    """A factory; the network's builder bears the encoder's name with underscores."""
    build = f"bench.metrics.{module}:{name.replace('-', '_')}"
    return partial(NetworkEncoder, name, build, prepare, colours, **more)


# DINO: the normed CLS token, images as its official k-NN evaluation shows them. timm's own
# configuration would resize to 248 and 518; DINO, DINOv2, Kosmos-G and custom-diffusion use 256.
# Sources: Caron et al. 2021 (eval_knn.py); DreamBooth (Ruiz et al. 2023), section 4.
EVALUATION = ShortestSide(256, 224)
dino_vits16 = _built("vision", "dino-vits16", EVALUATION, IMAGENET)
dino_vits8 = _built("vision", "dino-vits8", EVALUATION, IMAGENET)
dino_vitb16 = _built("vision", "dino-vitb16", EVALUATION, IMAGENET)
dino_vitb8 = _built("vision", "dino-vitb8", EVALUATION, IMAGENET)
# As transformers prepares images for facebook/dino-vits16: RPO's evaluation (Miao et al. 2024).
dino_vits16_hf = _built(
    "vision", "dino-vits16-hf", SquashBilinear(224), IMAGENET, stored="dino-vits16"
)

# DINOv2 (Oquab et al. 2023, dinov2/data/transforms.py), its position embedding brought from 37 to
# 16 patches a side as the official code does it.
dinov2_vits14 = _built("vision", "dinov2-vits14", EVALUATION, IMAGENET)
dinov2_vitb14 = _built("vision", "dinov2-vitb14", EVALUATION, IMAGENET)
dinov2_vitl14 = _built("vision", "dinov2-vitl14", EVALUATION, IMAGENET)
dinov2_vitg14 = _built("vision", "dinov2-vitg14", EVALUATION, IMAGENET)
# As SISO uses it (Shpitzer et al. 2025, utils/dino_utils.py): at the size it was trained for.
dinov2_vitl14_518 = _built(
    "vision", "dinov2-vitl14-518", ShortestSide(518, 518), IMAGENET, stored="dinov2-vitl14"
)

# OpenAI's CLIP (Radford et al. 2021): 77 tokens, longer prompts cut.
clip_vitb32_openai = _built("clip", "clip-vitb32-openai", ShortestSide(224, 224), CLIP)
clip_vitb16_openai = _built("clip", "clip-vitb16-openai", ShortestSide(224, 224), CLIP)
clip_vitl14_openai = _built("clip", "clip-vitl14-openai", ShortestSide(224, 224), CLIP)
# As CMMD shows it images (Jayasumana et al. 2024, cmmd/io_util.py): cropped, then resized.
clip_vitl14_336_openai = _built("clip", "clip-vitl14-336-openai", CropFirst(336), CLIP)

# As DreamMatcher's evaluate.py has them (Nam et al. 2024): both networks are handed the image at
# 256 pixels in [-1, 1]; DINO sees it as it is, CLIP after a resize of its own.
dino_vits16_dreammatcher = _built(
    "dreammatcher", "dino-vits16-dreammatcher", Squash(256), GREY, stored="dino-vits16"
)
clip_vitb32_dreammatcher = _built(
    "dreammatcher", "clip-vitb32-dreammatcher", Squash(256), GREY, stored="clip-vitb32-openai"
)
