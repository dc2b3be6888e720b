"""Encoders: model, weights, preprocessing and precision under one name.

Weights are only ever read from this machine; a missing file is an error that names the command
which fetches it. Images are resized by PIL, as the papers' reference code does; networks run in
fp32 without TF32.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import open_clip
import timm
import torch
from huggingface_hub import try_to_load_from_cache
from PIL.Image import Image
from timm.data.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)
from torch import Tensor, nn
from torchvision import transforms

from bench.errors import UserError
from bench.identity import file_digest
from bench.paths import home

if TYPE_CHECKING:
    from bench.api import Embeddings

BATCH = 32
Build = Callable[[Path], nn.Module]
Prepare = Callable[[Image], Tensor]
Tokenize = Callable[[list[str]], Tensor]
Colour = tuple[float, float, float]
T = TypeVar("T")


class TimmEncoder:
    """A network from an image to one vector. See ``bench.api.Encoder``."""

    def __init__(
        self, name: str, weights: Path, build: Build, prepare: Prepare, batch: int = BATCH
    ) -> None:
        self.name = name
        self.weights = weights
        self._build, self._prepare, self._batch = build, prepare, batch

    @cached_property
    def digest(self) -> str:
        return file_digest(self.weights)

    @cached_property
    def model(self) -> nn.Module:
        """The network in fp32, on the GPU where there is one; built on first use."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return self._build(self.weights).float().eval().to(device)

    def encode_images(self, images: Sequence[Image]) -> "Embeddings":
        return self._rows(
            self._embed_images(torch.stack([self._prepare(image.convert("RGB")) for image in part]))
            for part in _parts(images, self._batch)
        )

    def encode_texts(self, texts: Sequence[str]) -> "Embeddings":
        raise UserError(
            f"The encoder '{self.name}' reads images only; choose one with a text tower, "
            "such as clip-vitb32-openai."
        )

    def _embed_images(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.model(self._placed(pixels))
        return embedded

    def _placed(self, batch: Tensor) -> Tensor:
        return batch.to(next(self.model.parameters()).device)

    def _rows(self, batches: Iterator[Tensor]) -> "Embeddings":
        with _exactly():
            rows = [nn.functional.normalize(batch, dim=-1).cpu() for batch in batches]
        return torch.cat(rows).numpy() if rows else np.zeros((0, 0), np.float32)


class OpenClipEncoder(TimmEncoder):
    """A pair of towers for images and texts. See ``bench.api.Encoder``."""

    def __init__(
        self,
        name: str,
        weights: Path,
        build: Build,
        prepare: Prepare,
        tokenize: Tokenize,
        batch: int = BATCH,
    ) -> None:
        super().__init__(name, weights, build, prepare, batch)
        self._tokenize = tokenize

    def encode_texts(self, texts: Sequence[str]) -> "Embeddings":
        return self._rows(
            self.model.encode_text(self._placed(self._tokenize(list(part))))  # type: ignore[operator]
            for part in _parts(texts, self._batch)
        )

    def _embed_images(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.model.encode_image(self._placed(pixels))  # type: ignore[operator]
        return embedded


@dataclass(frozen=True)
class Source:
    """Where an encoder's weights come from, and on what terms."""

    encoder: str
    repository: str
    file: str
    size: str
    licence: str

    def find(self) -> Path:
        """The file on this machine: the user's own copy, else the Hugging Face cache.

        UserError when there is neither.
        """
        own = home() / "weights" / f"{self.encoder}.safetensors"
        if own.is_file():
            return own
        cached = try_to_load_from_cache(self.repository, self.file)
        if isinstance(cached, str):
            return Path(cached)
        raise UserError(
            f"The encoder '{self.encoder}' has no weights on this machine: fetch them with "
            f"'hf download {self.repository} {self.file}' ({self.size}, {self.licence}) "
            f"or put the file at {own}."
        )


DINO_VITS16 = Source(
    "dino-vits16", "timm/vit_small_patch16_224.dino", "model.safetensors", "87 MB", "Apache-2.0"
)
CLIP_VITB32_OPENAI = Source(
    "clip-vitb32-openai",
    "timm/vit_base_patch32_clip_224.openai",
    "open_clip_model.safetensors",
    "605 MB",
    "Apache-2.0 in this repository, OpenAI's original MIT",
)


def dino_vits16() -> TimmEncoder:
    """DINO ViT-S/16, the normed CLS token (384), as the official k-NN evaluation prepares images.

    timm's own configuration would resize to 248; DINO, Kosmos-G and custom-diffusion use 256.
    Source: Caron et al. 2021; DreamBooth section 4.
    """
    prepare = pil_pipeline(256, 224, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
    return TimmEncoder("dino-vits16", DINO_VITS16.find(), build_dino_vits16, prepare)


def clip_vitb32_openai() -> OpenClipEncoder:
    """OpenAI's CLIP ViT-B/32 (512), 224 pixels, 77 tokens, longer prompts cut.

    Source: Radford et al. 2021.
    """
    return OpenClipEncoder(
        "clip-vitb32-openai",
        CLIP_VITB32_OPENAI.find(),
        build_clip_vitb32,
        pil_pipeline(224, 224, OPENAI_CLIP_MEAN, OPENAI_CLIP_STD),
        open_clip.get_tokenizer("ViT-B-32-quickgelu"),
    )


def pil_pipeline(shortest: int, crop: int, mean: Colour, std: Colour) -> Prepare:
    """RGB image to (3, crop, crop): bicubic with antialiasing, centre crop, normalisation."""
    pipeline: Prepare = transforms.Compose(
        [
            transforms.Resize(shortest, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return pipeline


def build_dino_vits16(weights: Path) -> nn.Module:
    """timm's ViT-S/16 without a head, from a safetensors file."""
    model: nn.Module = timm.create_model(
        "vit_small_patch16_224.dino", pretrained=True, pretrained_cfg_overlay={"file": str(weights)}
    )
    return model


def build_clip_vitb32(weights: Path) -> nn.Module:
    """open_clip's ViT-B/32 from a safetensors file.

    The plain name "ViT-B-32" would put GELU where OpenAI trained QuickGELU, without a warning.
    """
    model: nn.Module = open_clip.create_model("ViT-B-32-quickgelu", pretrained=str(weights))
    return model


@contextmanager
def _exactly() -> Iterator[None]:
    """No gradients, and fp32 that is fp32 whatever a method chose for its own speed."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
