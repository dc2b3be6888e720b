"""Stable Diffusion's UNets: noise or v prediction at integer timesteps, diffusers' samplers."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import torch
from diffusers import AutoencoderKL, DDPMScheduler, SchedulerMixin, UNet2DConditionModel
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones import brought_lora, lora, unet_lora
from bench.methods.backbones.backbone import (
    OFF,
    Asked,
    BackboneSpec,
    Condition,
    Generators,
    Place,
    Precision,
    Rule,
    Text,
    Tokens,
    Weights,
)
from bench.methods.backbones.decoding import Decoding
from bench.methods.backbones.encoders import EncodePrompts, Encoders
from bench.methods.backbones.full import FullWeights, TakesFullWeights
from bench.methods.backbones.strides import strides
from bench.methods.backbones.switches import Acting, Scale, Scales, Switches
from bench.methods.backbones.words import Words
from bench.methods.guidance import UNGUIDED, Cfg


class Codec(Protocol):
    """An autoencoder: images (B, 3, H, W) in [0, 1] to latents (B, C, H/factor, W/factor)."""

    vae: Any
    channels: int
    factor: int

    def moments(self, images: Tensor) -> Tensor: ...
    def sample(self, moments: Tensor, generators: Generators) -> Tensor: ...
    def decode(self, latents: Tensor) -> Tensor: ...


class KlCodec:
    """Stable Diffusion's autoencoder; in fp32 where the checkpoint says that less overflows."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae.requires_grad_(False)
        if vae.config.force_upcast:
            vae.float()
        self.channels = vae.config.latent_channels
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def moments(self, images: Tensor) -> Tensor:
        """Mean and log-variance of the posterior: (B, 2 C, h, w)."""
        encoded = self.vae.encode((images * 2 - 1).to(self.vae.device, self.vae.dtype))
        parameters: Tensor = encoded.latent_dist.parameters
        return parameters.float()

    def sample(self, moments: Tensor, generators: Generators) -> Tensor:
        latents: Tensor = DiagonalGaussianDistribution(moments).sample(generator=list(generators))
        return latents * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents / self.vae.config.scaling_factor
        images: Tensor = self.vae.decode(latents.to(self.vae.device, self.vae.dtype)).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class Parts:
    """What a UNet's backbone is made of.

    ``null``: what stands for a prompt (1, ...) where guidance asks without one; ``encoders``: the
    networks that the others encode and decode with; ``words``: what text encoders may be taught.
    """

    unet: UNet2DConditionModel
    encode_prompts: EncodePrompts
    null: Text
    codec: Codec
    scheduler: SchedulerMixin
    encoders: Sequence[nn.Module] = ()
    words: Words | None = None


class UnetBackbone(TakesFullWeights, Encoders):
    """Any of the family; its members add what else their network is told.

    Without an image prompt, as here, there are no references: text is all that it is told.
    Latents (B, C, H, W) are fp32 whatever the network is, since trainers give t the type of
    latents, and bf16 cannot tell a thousand timesteps apart. t in [0, 1] is the integer timestep
    floor(t T), and T - 1 at t = 1: a uniform t draws every integer equally often.
    """

    layers = unet_lora.UNET
    """What adapters act on, and how their files name it."""

    def __init__(self, spec: BackboneSpec, parts: Parts) -> None:
        super().__init__(parts.unet, parts.encode_prompts, parts.codec, parts.encoders)
        self.spec, self.unet, self.codec = spec, parts.unet.eval(), parts.codec
        self._null, self._scheduler = parts.null, parts.scheduler
        self.words = parts.words
        self._noising = DDPMScheduler.from_config(parts.scheduler.config)
        lora.freeze(parts.unet)
        self._full = FullWeights(parts.unet)
        self._switches = Switches(parts.unet, self._full)

    def latents(self, moments: Tensor, generators: Generators) -> Tensor:
        """Latents (B, C, h, w) drawn from moments; one generator per image."""
        return self.codec.sample(moments.to(self.device), generators)

    def encode_references(self, images: Tensor, generators: Generators) -> Tensor:
        """UserError: what has no image prompt sees none."""
        raise UserError(
            f"The backbone {self.spec.name} sees no reference; choose a method that is trained on "
            "each subject, or a backbone that sees references (sdxl, flux-dev, mini)."
        )

    def decode(self, latents: Tensor, gradients: bool = False) -> Tensor:
        """Latents to images (B, 3, H, W) in [0, 1]: on the CPU, or where gradients are asked for.

        Those flow to the latents, but for pixels that are clamped.
        """
        with torch.set_grad_enabled(gradients):
            images = self.codec.decode(latents)
        return images if gradients else images.cpu()

    def decode_by(self, decoding: Decoding) -> None:
        """What the autoencoder saves memory by, from here on."""
        decoding.apply(self.codec.vae)

    def noise(self, generators: Generators) -> Tensor:
        """Standard normal latents, each image's from its own (CPU) generator."""
        side = self.spec.resolution // self.codec.factor
        shape = (1, self.codec.channels, side, side)
        draws = [torch.randn(shape, generator=generator) for generator in generators]
        return torch.cat(draws).to(self.device)

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha) x_0 + sqrt(1 - alpha) eps, alpha the product up to t."""
        x: Tensor = self._noising.add_noise(clean, noise, self.timesteps(t))
        return x

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The noise, or v where the checkpoint's scheduler says that v is predicted."""
        if self._noising.config.prediction_type == "epsilon":
            return noise
        v: Tensor = self._noising.get_velocity(clean, noise, self.timesteps(t))
        return v

    def timesteps(self, t: Tensor) -> Tensor:
        """t (B,) in [0, 1] to the integers of the scheduler."""
        count = self._noising.config.num_train_timesteps
        return (t.double() * count).long().clamp(0, count - 1)

    def predict(
        self,
        x: Tensor,
        t: Tensor,
        condition: Condition,
        weights: Weights = OFF,
        guidance: float = 1.0,
    ) -> Tensor:
        """Noise or v (B, C, H, W) at x_t, under the adapters named in ``weights`` and no other.

        ``guidance`` above 1 is classifier-free: the network also answers without prompt and
        reference. ValueError for adapters that are not there.
        """
        rule = _classifier_free(guidance)
        asked = rule.asks(condition, self._without, weights)
        answers = self._answers(x, self.timesteps(t), asked)
        return rule.combine(answers, Place(0.0))  # neither of the two depends on where that is

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
        """From noise to latents by the checkpoint's own scheduler, as the stock pipeline does.

        Gradients flow through the last ``through`` steps. UserError for a stepwise rule where that
        scheduler is none of first order.
        """
        scheduler = type(self._scheduler).from_config(self._scheduler.config)
        scheduler.set_timesteps(steps, device=self.device)
        rule = rule or _classifier_free(guidance)
        asked = rule.asks(condition, self._without, weights)
        places = _places(scheduler, rule)
        x, first = noise * scheduler.init_noise_sigma, len(places) - through
        for step, (timestep, place) in enumerate(zip(scheduler.timesteps, places, strict=True)):
            with torch.set_grad_enabled(step >= first):
                scaled = scheduler.scale_model_input(x, timestep)
                answers = self._answers(scaled, timestep.expand(len(x)), asked)
                guided = rule.combine(answers, place)
                x = scheduler.step(guided, timestep, x, return_dict=False)[0]
        return x

    def _answers(self, x: Tensor, timesteps: Tensor, asked: Sequence[Asked]) -> list[Tensor]:
        """In one forward pass whatever is asked of the same weights, as stock pipelines do.

        A LoRA is no weight of the network's: it acts on each answer at a scale of its own.
        """
        answers: list[Tensor] = []
        for _, group in groupby(asked, key=self._tuned):
            together = list(group)
            condition = _joined([each.condition for each in together])
            scales = _by_row([each.weights for each in together], len(x))
            count = len(together)
            found = self._network(
                torch.cat([x] * count), torch.cat([timesteps] * count), condition, scales
            )
            answers += found.chunk(count)
        return answers

    def _tuned(self, asked: Asked) -> Weights:
        """Whole networks that an answer wants."""
        names = asked.weights.keys() & self._full.names
        return {name: asked.weights[name] for name in names}

    def _network(
        self, x: Tensor, timesteps: Tensor, condition: Condition, scales: Scales
    ) -> Tensor:
        self._require(scales.keys())
        self._switches.turn(self._acting(condition, scales))
        with self._full.acting({name: s for name, s in scales.items() if isinstance(s, float)}):
            return self._forward(x.to(self.dtype), timesteps, condition).to(x.dtype)

    def _forward(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        answer: Tensor = self.unet(
            x,
            timesteps,
            condition.text.tokens,
            added_cond_kwargs=self._added(condition),
            return_dict=False,
        )[0]
        return answer

    def _require(self, names: Set[str]) -> None:
        if absent := names - getattr(self.unet, "peft_config", {}).keys() - self._full.names:
            raise ValueError(f"no such adapter on the backbone: {', '.join(sorted(absent))}")

    def _acting(self, condition: Condition, scales: Scales) -> Acting:
        return Acting(dict(scales))

    def _added(self, condition: Condition) -> dict[str, Any]:
        """What the family's network is told beside the prompt's tokens."""
        return {}

    def _without(self, condition: Condition) -> Condition:
        """The same number of conditions that say nothing."""
        count = len(condition.text.tokens)
        null = Text(_times(self._null.tokens, count), _times(self._null.pooled, count))
        reference = condition.reference
        return Condition(null, None if reference is None else self._unseen(reference))

    def _unseen(self, reference: Tensor) -> Tensor:
        """What stands for a reference where there is none."""
        return torch.zeros_like(reference)

    def add_adapter(
        self,
        name: str,
        rank: int,
        seed: int,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """A fresh adapter: it changes nothing until it is trained; ``layers``."""
        unet_lora.add_adapter(self.unet, name, rank, seed, tokens, precision, self.layers)
        self._switches.adapters_changed()

    def remove_adapter(self, name: str) -> None:
        """Take an adapter away, so that another may have its name. ValueError for none."""
        self._require({name})
        if name in self._full.names:
            self._full.remove(name)
            return
        self.unet.delete_adapters(name)
        self._switches.adapters_changed()

    def adapter_parameters(self, name: str) -> dict[str, nn.Parameter]:
        return self._full.parameters(name) or lora.adapter_parameters(self.unet, name)

    def save_adapter(self, name: str, path: Path) -> None:
        if name in self._full.names:
            self._full.save(name, path)
        else:
            unet_lora.save_adapter(self.unet, name, path, self.layers)

    def load_adapter(
        self,
        name: str,
        path: Path,
        tokens: Tokens = "reference",
        precision: Precision = "fp32",
    ) -> None:
        """An adapter from a file. UserError when it cannot be read or does not fit."""
        unet_lora.load_adapter(self.unet, name, path, tokens, precision, self.layers)
        self._switches.adapters_changed()

    def bring_adapter(self, name: str, path: Path) -> None:
        """A LoRA that other code made, on whatever layers. UserError as for ``load_adapter``."""
        brought_lora.load(self.unet, name, path)
        self._switches.adapters_changed()


def _places(scheduler: Any, rule: Rule) -> list[Place]:
    """Where the steps that have been set begin."""
    times = (scheduler.timesteps / scheduler.config.num_train_timesteps).tolist()
    lengths = strides(scheduler) if rule.stepwise else [1.0] * len(times)
    return [Place(*each) for each in zip(times, lengths, strict=True)]


def _times(tensor: Tensor, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape[1:])


def _joined(conditions: Sequence[Condition]) -> Condition:
    """Conditions of one kind, one after another."""
    text = Text(
        torch.cat([condition.text.tokens for condition in conditions]),
        torch.cat([condition.text.pooled for condition in conditions]),
    )
    seen = [c.reference for c in conditions if c.reference is not None]
    return Condition(text, torch.cat(seen) if seen else None)


def _by_row(weights: Sequence[Weights], rows: int) -> Scales:
    """Adapters' scales for as many batches of ``rows``, one after another."""
    scales: dict[str, Scale] = {}
    for name in dict.fromkeys(name for each in weights for name in each):
        own = [float(each.get(name, 0)) for each in weights]
        equal = len(set(own)) == 1
        scales[name] = own[0] if equal else tuple(s for s in own for _ in range(rows))
    return scales


def _classifier_free(guidance: float) -> Rule:
    return Cfg(scale=guidance) if guidance > 1 else UNGUIDED
