"""What stands before every network: prompts and images become tensors on its device."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bench.methods.backbones.backbone import Generators, Text

EncodePrompts = Callable[[list[str]], Text]


class Moments(Protocol):
    """The part of a codec that looks at images."""

    def moments(self, images: Tensor) -> Tensor: ...


class Encoders(ABC):
    """A prompt encoder and a codec, which may be put aside; families say how latents are laid out.

    ``encoders``: the networks that both run on.
    """

    def __init__(
        self,
        network: Any,
        encode_prompts: EncodePrompts,
        codec: Moments,
        encoders: Sequence[nn.Module],
    ) -> None:
        self._body, self._encode_prompts = network, encode_prompts
        self._images, self._encoders = codec, encoders

    @property
    def device(self) -> torch.device:
        return self._body.device

    @property
    def dtype(self) -> torch.dtype:
        return self._body.dtype

    def encoders_to(self, device: str) -> None:
        """Move what encodes and decodes to a device; it works on any, only slower."""
        for encoder in self._encoders:
            encoder.to(device)

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Text:
        text = self._encode_prompts(prompts)
        return Text(text.tokens.to(self.device), text.pooled.to(self.device))

    @torch.no_grad()
    def moments(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to what ``latents`` draws from, (B, M, h, w)."""
        return self._images.moments(images)

    @abstractmethod
    def latents(self, moments: Tensor, generators: Generators) -> Tensor:
        """Latents drawn from moments; one generator per image."""

    def encode_images(self, images: Tensor, generators: Generators) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to latents; one generator per image."""
        return self.latents(self.moments(images), generators)
