"""The FLUX family: one backbone class for its releases and for mini, made of exchangeable parts."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones import brought_lora, lora
from bench.methods.backbones.backbone import (
    OFF,
    BackboneSpec,
    Condition,
    Generators,
    Place,
    Precision,
    Rule,
    Tokens,
    Weights,
)
from bench.methods.backbones.conditioned import Branch, Kept, remember, velocity
from bench.methods.backbones.decoding import Decoding
from bench.methods.backbones.encoders import EncodePrompts, Encoders
from bench.methods.backbones.full import FullWeights, TakesFullWeights
from bench.methods.backbones.strides import flow_stride
from bench.methods.guidance import UNGUIDED
from bench.methods.objectives import noised


class Codec(Protocol):
    """Images (B, 3, H, W) in [0, 1] to latents (B, C, H / factor, W / factor) and back.

    What costs is ``moments`` (B, M, H / factor, W / factor); latents are drawn from them.
    """

    channels: int
    factor: int
    patch: int

    def moments(self, images: Tensor) -> Tensor: ...
    def sample(self, moments: Tensor, generators: Generators) -> Tensor: ...
    def decode(self, latents: Tensor) -> Tensor: ...


Position = Literal["left", "right"]


@dataclass(frozen=True)
class Conditioning:
    """How a reference is seen; an adapter is good for what it was trained with.

    ``position``: the side of the image on which its tokens stand: left in OminiControl's and SFO's
    trainings, right for the released omini/subject_512. ``independent``: its tokens attend to
    themselves alone. ``cache``: what is then the same at every step of a sampling is computed once.
    UserError for a cache of what is not independent.
    """

    position: Position = "left"
    independent: bool = False
    cache: bool = False

    def __post_init__(self) -> None:
        if self.cache and not self.independent:
            raise UserError(
                "A reference's keys and values can be cached only where they are the same at every "
                "step: turn on 'independent' or turn off 'cache'."
            )


def pack(latents: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) to tokens (B, H/patch * W/patch, C * patch * patch), as FluxPipeline packs."""
    patches = latents.unfold(2, patch, patch).unfold(3, patch, patch)
    return patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)


def unpack(tokens: Tensor, patch: int) -> Tensor:
    """The inverse of ``pack`` for square images."""
    side = round(tokens.shape[1] ** 0.5)
    patches = tokens.unflatten(1, (side, side)).unflatten(3, (-1, patch, patch))
    return patches.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def position_ids(side: int, shift: int = 0) -> Tensor:
    """Positions (side * side, 3) of a square image's tokens, moved ``shift`` columns."""
    ids = torch.zeros(side, side, 3)
    ids[..., 1] = torch.arange(side)[:, None]
    ids[..., 2] = torch.arange(side)[None, :] + shift
    return ids.reshape(-1, 3)


class FluxBackbone(TakesFullWeights, Encoders):
    """A transformer, a prompt encoder, a codec and a schedule; objectives know nothing more.

    ``conditioning`` may be set at any time.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        transformer: FluxTransformer2DModel,
        encode_prompts: EncodePrompts,
        codec: Codec,
        schedule: dict[str, Any],
        encoders: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__(transformer, encode_prompts, codec, encoders)
        self.spec, self.transformer, self.codec = spec, transformer.eval(), codec
        self._schedule, self.conditioning = schedule, Conditioning()
        self._everywhere: set[str] = set()
        self._brought: set[str] = set()
        self._full = FullWeights(transformer)
        if transformer.is_gradient_checkpointing:
            transformer.enable_gradient_checkpointing(self._full.checkpointed)
        lora.freeze(transformer)
        self._side = spec.resolution // (codec.factor * codec.patch)

    @torch.no_grad()
    def latents(self, moments: Tensor, generators: Generators) -> Tensor:
        """Tokens (B, N, C) drawn from moments; one generator per image."""
        latents = self.codec.sample(moments.to(self.device), generators)
        return pack(latents, self.codec.patch).to(self.dtype)

    def encode_references(self, images: Tensor, generators: Generators) -> Tensor:
        """References are seen as images are."""
        return self.encode_images(images, generators)

    def decode(self, tokens: Tensor, gradients: bool = False) -> Tensor:
        """Tokens to images (B, 3, H, W) in [0, 1]: on the CPU, or where gradients are asked for.

        Those flow to the tokens, but for pixels that are clamped.
        """
        with torch.set_grad_enabled(gradients):
            images = self.codec.decode(unpack(tokens, self.codec.patch)).float()
        return images if gradients else images.cpu()

    def decode_by(self, decoding: Decoding) -> None:
        """What the autoencoder saves memory by, from here on; pixels as latents need none."""
        if vae := getattr(self.codec, "vae", None):
            decoding.apply(vae)

    def noise(self, generators: Generators) -> Tensor:
        """Standard normal tokens, each image's from its own (CPU) generator."""
        side = self._side * self.codec.patch
        shape = (1, self.codec.channels, side, side)
        draws = [torch.randn(shape, generator=generator) for generator in generators]
        return pack(torch.cat(draws), self.codec.patch).to(self.device, self.dtype)

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noised(clean, noise, t)

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The velocity eps - x_0."""
        return noise - clean

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        condition: Condition,
        weights: Weights = OFF,
        guidance: float = 1.0,
    ) -> Tensor:
        """Velocity (B, N, C) at x_t, t (B,) in [0, 1].

        The reference stands beside the image at timestep 0, as ``conditioning`` says, and the
        adapters named in ``weights`` act on its tokens alone (OminiControl), but for those that
        were put there to act on the image's as well, and full weights, which act on all tokens.
        ValueError for adapters that are not there.
        """
        return self._predict(x, t, condition, weights, guidance)

    def _predict(
        self,
        x: Tensor,
        t: Tensor,
        condition: Condition,
        weights: Weights,
        guidance: float,
        memory: list[Kept] | None = None,
    ) -> Tensor:
        self._require(weights.keys())
        ids = position_ids(self._side).to(x.device)
        on_image = {name: weights[name] for name in weights if name in self._everywhere}
        branches = [Branch(x, ids, t, self._guidance(t, guidance), on_image)]
        if self.conditioning.independent:
            memory = memory or self._memory(condition, weights)
        elif condition.reference is not None:
            branches.append(self._branch(condition.reference, weights))
        on_text = {name: weights[name] for name in weights if name in self._brought}
        with self._full.acting(weights):
            return velocity(self.transformer, condition.text, branches, memory, on_text)[0]

    def _require(self, names: Set[str]) -> None:
        there = getattr(self.transformer, "peft_config", {}).keys() | self._full.names
        if absent := names - there:
            raise ValueError(f"no such adapter on the backbone: {', '.join(sorted(absent))}")

    def _branch(self, reference: Tensor, weights: Weights) -> Branch:
        """A reference: clean, unguided, beside the image."""
        shift = self._side if self.conditioning.position == "right" else -self._side
        clean = torch.zeros(len(reference), device=reference.device, dtype=reference.dtype)
        ids = position_ids(self._side, shift).to(reference.device)
        return Branch(reference, ids, clean, self._guidance(clean, 1.0), weights)

    def _memory(self, condition: Condition, weights: Weights) -> list[Kept] | None:
        """What the image sees of an independent reference, whatever the step."""
        if condition.reference is None:
            return None
        branch = self._branch(condition.reference, weights)
        with self._full.acting(weights):
            return remember(self.transformer, condition.text, branch)

    def _guidance(self, t: Tensor, scale: float) -> Tensor | None:
        return torch.full_like(t, scale) if self.spec.guidance is not None else None

    def schedule(self, steps: int) -> FlowMatchEulerDiscreteScheduler:
        """The sampler's schedule, as FluxPipeline sets it."""
        scheduler = FlowMatchEulerDiscreteScheduler.from_config(self._schedule)
        sigmas = np.linspace(1.0, 1 / steps, steps).tolist()
        mu = calculate_shift(
            self._side**2,
            scheduler.config.base_image_seq_len,
            scheduler.config.max_image_seq_len,
            scheduler.config.base_shift,
            scheduler.config.max_shift,
        )
        scheduler.set_timesteps(
            sigmas=sigmas,
            mu=mu if scheduler.config.use_dynamic_shifting else None,
            device=self.device,
        )
        return scheduler

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
        """Integrate the velocity from noise to tokens (B, N, C) in Euler steps.

        Gradients flow through the last ``through`` of them.
        """
        scheduler, x, rule = self.schedule(steps), noise, rule or UNGUIDED
        cached = self.conditioning.cache
        with torch.set_grad_enabled(through > 0):
            asked = [
                (each, self._memory(each.condition, each.weights) if cached else None)
                for each in rule.asks(condition, self._without, weights)
            ]
        levels, first = scheduler.sigmas.tolist(), len(scheduler.timesteps) - through
        for step, timestep in enumerate(scheduler.timesteps):
            t = timestep.to(x.dtype).expand(len(x)) / 1000
            with torch.set_grad_enabled(step >= first):
                answers = [
                    self._predict(x, t, each.condition, each.weights, guidance, memory)
                    for each, memory in asked
                ]
                place = Place(levels[step], flow_stride(*levels[step : step + 2]))
                velocity = rule.combine(answers, place)
                x = scheduler.step(velocity, timestep, x, return_dict=False)[0]
        return x

    def _without(self, condition: Condition) -> Condition:
        """No prompt; the reference stays, since trainings seldom drop both at once."""
        count = len(condition.text.tokens)
        return Condition(self.encode_prompts([""] * count), condition.reference)

    def add_adapter(
        self,
        name: str,
        rank: int,
        seed: int,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """A fresh adapter: it changes nothing until it is trained."""
        lora.add_adapter(self.transformer, name, rank, seed, precision)
        self._acts_on(name, tokens)

    def remove_adapter(self, name: str) -> None:
        """Take an adapter away, so that another may have its name. ValueError for none."""
        self._require({name})
        if name in self._full.names:
            self._full.remove(name)
            return
        self.transformer.delete_adapters(name)
        self._everywhere.discard(name)
        self._brought.discard(name)

    def adapter_parameters(self, name: str) -> dict[str, nn.Parameter]:
        return self._full.parameters(name) or lora.adapter_parameters(self.transformer, name)

    def save_adapter(self, name: str, path: Path) -> None:
        if name in self._full.names:
            self._full.save(name, path)
        else:
            lora.save_adapter(self.transformer, name, path)

    def load_adapter(
        self,
        name: str,
        path: Path,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """An adapter from a file. UserError when it cannot be read or does not fit."""
        lora.load_adapter(self.transformer, name, path, precision)
        self._acts_on(name, tokens)

    def bring_adapter(self, name: str, path: Path) -> None:
        """A LoRA that other code made: it acts on the prompt's tokens too, as it was trained."""
        brought_lora.load(self.transformer, name, path)
        self._everywhere.add(name)
        self._brought.add(name)

    def _acts_on(self, name: str, tokens: Tokens) -> None:
        if tokens == "image":
            self._everywhere.add(name)
