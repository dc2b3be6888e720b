"""What trainers and samplers see of a pre-trained generator, whatever family it is of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones.decoding import Decoding

Weights = Mapping[str, float]
"""Adapter name to scale; an adapter that is not named is off."""
OFF: Weights = {}
Generators = Sequence[torch.Generator]
Tokens = Literal["reference", "image"]
"""What an adapter acts on: the reference's tokens alone, or the image's as well."""
Precision = Literal["fp32", "bf16"]
"""In what an adapter's weights are kept and trained."""


@dataclass(frozen=True)
class BackboneSpec:
    """What a backbone is by default.

    ``resolution``: side of its square images in pixels; ``steps`` and ``guidance``: how it is
    sampled (guidance None where it knows none); ``corpus``: what corpus-wide methods train on;
    ``batch``: images drawn together; ``sft``: an SFT adapter that comes with it; ``judge``: the
    encoder by which its trainings compare images; ``sees_references``: also without an adapter, so
    that its SFT model is itself; ``mini``: trained on the procedural world only, so no figure made
    with it says anything about photographs.
    """

    name: str
    digest: str
    resolution: int
    steps: int
    guidance: float | None
    corpus: str
    batch: int
    sft: Path | None = None
    judge: str = "dino-vits16"
    sees_references: bool = False
    mini: bool = False


@dataclass(frozen=True)
class Text:
    """An encoded prompt: ``tokens`` (B, T, D), ``pooled`` (B, P)."""

    tokens: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class Condition:
    """An encoded prompt and an encoded reference (B, N, C), or None for text alone.

    ``plain``: the prompt with the class's noun in place of the subject, where a rule asks for it.
    """

    text: Text
    reference: Tensor | None
    plain: Text | None = None

    def repeated(self, times: int) -> "Condition":
        """The same condition for ``times`` batches, one after another."""
        text = Text(torch.cat([self.text.tokens] * times), torch.cat([self.text.pooled] * times))
        reference = self.reference
        return Condition(text, None if reference is None else torch.cat([reference] * times))


@dataclass(frozen=True)
class Asked:
    """One answer that guidance wants of the network: to what, and under which adapters."""

    condition: Condition
    weights: Weights


@dataclass(frozen=True)
class Place:
    """Where sampling is: ``t`` in [0, 1], 1 being noise.

    ``stride``: sigma / (sigma - sigma') of the step, 1 where no one wants to know it.
    """

    t: float
    stride: float = 1.0


class Rule(Protocol):
    """Guidance: what is asked at every step, and what is made of the answers.

    ``stepwise``: whether it has to know where a step leads, which only deterministic samplers of
    first order can say; ``plain``: whether it asks for ``Condition.plain``.
    """

    stepwise: ClassVar[bool]
    plain: ClassVar[bool]

    def asks(
        self, condition: Condition, without: Callable[[Condition], Condition], weights: Weights
    ) -> list[Asked]:
        """What is asked; ``without`` drops the prompt of a condition."""
        ...

    def combine(self, answers: Sequence[Tensor], place: Place) -> Tensor:
        """The guided answer."""
        ...


@runtime_checkable
class Backbone(Protocol):
    """Latents x of clean images and of noise, and a network that tells one from the other.

    t runs from 0 (clean) to 1 (noise) for every family; ``noised`` and ``target`` say what x_t and
    the network's answer are. Latents are (B, N, C) or (B, C, H, W), as the family has it.
    """

    spec: BackboneSpec

    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...

    def encoders_to(self, device: str) -> None:
        """Move what encodes prompts and images and decodes: trainings on cached codes need none."""
        ...

    def encode_prompts(self, prompts: list[str]) -> Text: ...

    def moments(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to what their latents are drawn from: (B, M, h, w)."""
        ...

    def latents(self, moments: Tensor, generators: Generators) -> Tensor:
        """Latents drawn from moments; one generator per image."""
        ...

    def encode_images(self, images: Tensor, generators: Generators) -> Tensor:
        """``latents`` of ``moments`` of images (B, 3, H, W) in [0, 1]."""
        ...

    def encode_references(self, images: Tensor, generators: Generators) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] to what ``Condition.reference`` holds."""
        ...

    def decode(self, latents: Tensor, gradients: bool = False) -> Tensor:
        """Latents to images (B, 3, H, W) in [0, 1]: on the CPU, or where gradients are asked for.

        Those flow to the latents, but for pixels that are clamped.
        """
        ...

    def decode_by(self, decoding: Decoding) -> None:
        """What decoding saves memory by, from here on."""
        ...

    def noise(self, generators: Generators) -> Tensor:
        """Standard normal latents, each image's from its own (CPU) generator."""
        ...

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t for t (B,) in [0, 1]."""
        ...

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What ``predict`` should answer at x_t: the velocity, or the noise."""
        ...

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        condition: Condition,
        weights: Weights = OFF,
        guidance: float = 1.0,
    ) -> Tensor:
        """The network's answer at x_t under the adapters named; trainings use guidance 1."""
        ...

    def sample(
        self,
        condition: Condition,
        noise: Tensor,
        weights: Weights,
        steps: int,
        guidance: float,
        rule: Rule | None = None,
        through: int = 0,
    ) -> Tensor:
        """From standard normal noise to the latents of clean images, deterministically.

        ``guidance`` is what the family knows by itself: a scale that the network was distilled for,
        or classifier-free. A ``rule`` comes on top of the former and in place of the latter.
        ``through``: the last steps through which gradients flow to the adapters.
        """
        ...

    def add_adapter(
        self,
        name: str,
        rank: int,
        seed: int,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """A fresh adapter: it changes nothing until it is trained."""
        ...

    def add_weights(self, name: str, only: str = ".*", precision: Precision = "fp32") -> None:
        """An adapter of another kind: a copy of the network's weights whose names match ``only``.

        Its scale interpolates: 0 is the pre-trained network, 1 the copy. ValueError for a name
        that is taken.
        """
        ...

    def load_weights(self, name: str, path: Path, precision: Precision = "fp32") -> None:
        """Such a copy from a file, or from a folder as diffusers saves networks.

        UserError when it cannot be read or does not fit.
        """
        ...

    def remove_adapter(self, name: str) -> None:
        """Take an adapter away, so that another may have its name. ValueError for none."""
        ...

    def adapter_parameters(self, name: str) -> dict[str, nn.Parameter]: ...
    def save_adapter(self, name: str, path: Path) -> None: ...

    def load_adapter(
        self,
        name: str,
        path: Path,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """An adapter from a file. UserError when it cannot be read or does not fit."""
        ...

    def bring_adapter(self, name: str, path: Path) -> None:
        """A LoRA that other code made, on whatever layers and tokens its file names.

        UserError when it cannot be read or does not fit.
        """
        ...


def demand_backbone(backbone: Backbone, method: str, choices: str) -> None:
    """UserError for what is no Backbone, but draws with a pipeline of its own.

    ``choices``: backbones that the method can use, in words.
    """
    if not isinstance(backbone, Backbone):
        raise UserError(
            f"The backbone {backbone.spec.name} draws with a pipeline of its own, which '{method}' "
            f"can neither train nor steer; choose --backbone {choices}."
        )
