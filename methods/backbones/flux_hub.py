"""FLUX.1 as released, loaded from the user's own copy; nothing is ever downloaded from here."""

import re
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL, FluxPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from bench import weights
from bench.errors import UserError
from bench.identity import file_digest, identity
from bench.methods.backbones.backbone import BackboneSpec, Generators, Text
from bench.methods.backbones.flow_words import flux_words
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.pipelines import pipeline_of
from bench.methods.backbones.words import Words

RESOLUTION = 512


@dataclass(frozen=True)
class Release:
    """What sets a release apart: ``max_text`` in T5 tokens, the others as in ``BackboneSpec``."""

    name: str
    steps: int
    guidance: float | None
    max_text: int


class VaeCodec:
    """FLUX's autoencoder: latents are sampled, shifted and scaled, as OminiControl trains."""

    patch = 2

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae.requires_grad_(False)
        self.channels = vae.config.latent_channels
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def moments(self, images: Tensor) -> Tensor:
        """Mean and log-variance of the posterior: (B, 2 C, h, w)."""
        posterior = self.vae.encode((images * 2 - 1).to(self.vae.device, self.vae.dtype))
        parameters: Tensor = posterior.latent_dist.parameters
        return parameters

    def sample(self, moments: Tensor, generators: Generators) -> Tensor:
        latents = DiagonalGaussianDistribution(moments).sample(generator=list(generators))
        return (latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents / self.vae.config.scaling_factor + self.vae.config.shift_factor
        images: Tensor = self.vae.decode(latents.to(self.vae.device, self.vae.dtype)).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


class ReleasedFlux(FluxBackbone):
    """A FLUX whose text encoders can be taught words."""

    words: Words


def load(
    release: Release, resolution: int = RESOLUTION, max_text: int | None = None
) -> ReleasedFlux:
    """A release from ``SUBJECTBENCH_HOME/weights`` or the Hugging Face cache.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels, ``max_text`` in T5 tokens
    (None: the release's). UserError when it is not there or not whole.
    """
    pipeline = pipeline_of(FluxPipeline, release.name)
    digest = digest_of(weights.find(release.name))
    return wrap(release, pipeline, digest, resolution, max_text)


def wrap(
    release: Release,
    pipeline: FluxPipeline,
    digest: str,
    resolution: int = RESOLUTION,
    max_text: int | None = None,
) -> ReleasedFlux:
    """Our backbone around a stock pipeline's parts; trainings recompute activations by block."""
    encoders = [pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae]
    length = max_text or release.max_text

    def encode_prompts(prompts: list[str]) -> Text:
        tokens, pooled, _ = pipeline.encode_prompt(
            prompts, None, device=pipeline.text_encoder.device, max_sequence_length=length
        )
        return Text(tokens, pooled)

    spec = BackboneSpec(
        name=release.name,
        digest=digest,
        resolution=resolution,
        steps=release.steps,
        guidance=release.guidance,
        corpus="subjects200k",
        batch=1,
    )
    pipeline.transformer.enable_gradient_checkpointing()
    codec = VaeCodec(pipeline.vae)
    schedule = dict(pipeline.scheduler.config)
    parts = (pipeline.transformer, encode_prompts, codec, schedule, encoders)
    backbone = ReleasedFlux(spec, *parts)
    backbone.words = flux_words(pipeline, encode_prompts)
    return backbone


def digest_of(folder: Path) -> str:
    """Identity of a saved pipeline: the SHA-256 of each of its weight files."""
    files = sorted(folder.glob("*/*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no safetensors; fetch the backbone anew.")
    return identity({file.relative_to(folder).as_posix(): _digest(file) for file in files})


def _digest(file: Path) -> str:
    """The hub cache names a large file's blob by its SHA-256, which saves reading it."""
    blob = file.resolve().name
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else file_digest(file)
