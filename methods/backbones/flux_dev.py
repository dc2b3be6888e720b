"""FLUX.1-dev, loaded from the user's own copy; nothing is ever downloaded from here."""

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FluxPipeline
from safetensors import SafetensorError
from torch import Tensor

from bench import weights
from bench.errors import UserError
from bench.identity import file_digest, identity
from bench.methods.backbones.backbone import BackboneSpec, Generators, Text
from bench.methods.backbones.flux import FluxBackbone

RESOLUTION = 512
MAX_TEXT = 512


class VaeCodec:
    """FLUX's autoencoder: latents are sampled, shifted and scaled, as OminiControl trains."""

    patch = 2

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae.requires_grad_(False)
        self.channels = vae.config.latent_channels
        self.factor = 2 ** (len(vae.config.block_out_channels) - 1)

    def encode(self, images: Tensor, generators: Generators) -> Tensor:
        posterior = self.vae.encode((images * 2 - 1).to(self.vae.dtype)).latent_dist
        latents = posterior.sample(generator=list(generators))
        return (latents - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents / self.vae.config.scaling_factor + self.vae.config.shift_factor
        images: Tensor = self.vae.decode(latents.to(self.vae.dtype)).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


def load(resolution: int = RESOLUTION, max_text: int = MAX_TEXT) -> FluxBackbone:
    """FLUX.1-dev from ``SUBJECTBENCH_HOME/weights/flux-dev`` or the Hugging Face cache.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels, ``max_text`` in T5 tokens.
    UserError when it is not there or not whole.
    """
    folder = weights.find("flux-dev")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    try:
        pipeline = FluxPipeline.from_pretrained(folder, dtype=dtype, local_files_only=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"FLUX.1-dev at {folder} is damaged or incomplete; fetch it anew: remove the folder "
            "and run 'bench weights fetch flux-dev'."
        ) from error
    return wrap(pipeline.to(device), digest_of(folder), resolution, max_text)


def wrap(
    pipeline: FluxPipeline, digest: str, resolution: int = RESOLUTION, max_text: int = MAX_TEXT
) -> FluxBackbone:
    """Our backbone around a stock pipeline's parts; trainings recompute activations by block."""

    def encode_prompts(prompts: list[str]) -> Text:
        tokens, pooled, _ = pipeline.encode_prompt(prompts, None, max_sequence_length=max_text)
        return Text(tokens, pooled)

    spec = BackboneSpec(
        name="flux-dev",
        digest=digest,
        resolution=resolution,
        steps=28,
        guidance=3.5,
        corpus="subjects200k",
        batch=1,
    )
    pipeline.transformer.enable_gradient_checkpointing()
    codec = VaeCodec(pipeline.vae)
    schedule = dict(pipeline.scheduler.config)
    return FluxBackbone(spec, pipeline.transformer, encode_prompts, codec, schedule)


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
