"""SANA 1.6B (arXiv 2410.10629), loaded from the user's own copy; nothing is downloaded from here.

``sana`` is the checkpoint for 1024 pixels, of which Personalization Guidance (arXiv 2508.00319)
makes its images; SISO (arXiv 2503.16025) trains the one for 512, which goes by a name of its own.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline
from torch import Tensor

from bench.methods.backbones.backbone import Condition, Generators, Text
from bench.methods.backbones.flow_words import sana_words
from bench.methods.backbones.pipelines import pipeline_of, placed
from bench.methods.backbones.stable_diffusion import Release
from bench.methods.backbones.unet import Parts, UnetBackbone
from bench.methods.backbones.unet_lora import Layers
from bench.methods.objectives import noised

SANA = Release(
    "sana", resolution=1024, steps=20, guidance=4.5, scheduler=DPMSolverMultistepScheduler
)
SANA_512 = Release(
    "sana-512", resolution=512, steps=20, guidance=4.5, scheduler=DPMSolverMultistepScheduler
)
LAYERS = Layers("transformer", {"image": r".*\.attn[12]\.to_[qkv]", "reference": "(?!)"})
"""Queries, keys and values, as diffusers' DreamBooth and SISO adapt; there is no image prompt."""
TIMESTEPS = 1000


class DcCodec:
    """SANA's deep-compression autoencoder: an image has one latent, and nothing is drawn."""

    def __init__(self, vae: AutoencoderDC) -> None:
        self.vae = vae.requires_grad_(False)
        self.channels = vae.config.latent_channels
        self.factor = vae.spatial_compression_ratio

    def moments(self, images: Tensor) -> Tensor:
        """The latent itself (B, C, h, w)."""
        latent: Tensor = self.vae.encode(
            (images * 2 - 1).to(self.vae.device, self.vae.dtype)
        ).latent
        return latent.float()

    def sample(self, moments: Tensor, generators: Generators) -> Tensor:
        latents: Tensor = moments * self.vae.config.scaling_factor
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents.to(self.vae.device, self.vae.dtype) / self.vae.config.scaling_factor
        images: Tensor = self.vae.decode(latents).sample
        return (images.float() / 2 + 0.5).clamp(0, 1)


class SanaBackbone(UnetBackbone):
    """As a UNet's backbone, but a transformer that predicts the velocity of a straight flow.

    ``Text.pooled`` (B, T) is the mask of a prompt's tokens.
    """

    layers = LAYERS

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = (1 - t) x_0 + t eps."""
        return noised(clean, noise, t)

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The velocity eps - x_0."""
        return noise - clean

    def timesteps(self, t: Tensor) -> Tensor:
        """t (B,) in [0, 1] to what the network was trained with."""
        return t * TIMESTEPS

    def _forward(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        answer: Tensor = self.unet(
            x,
            encoder_hidden_states=condition.text.tokens.to(x.dtype),
            encoder_attention_mask=condition.text.pooled,
            timestep=timesteps * self.unet.config.timestep_scale,
            return_dict=False,
        )[0]
        return answer


def load(resolution: int | None = None) -> SanaBackbone:
    """SANA 1.6B for 1024 pixels, 20 steps of Flow-DPM-Solver, from the user's own copy.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels. UserError when it is not
    there or not whole.
    """
    return _load(SANA, resolution)


def load_512(resolution: int | None = None) -> SanaBackbone:
    """SANA 1.6B for 512 pixels, else as the one for 1024."""
    return _load(SANA_512, resolution)


def _load(release: Release, resolution: int | None) -> SanaBackbone:
    pipeline = placed(pipeline_of(SanaPipeline, release.name, use_safetensors=True))
    return SanaBackbone(release.spec(resolution), _parts(release.scheduled(pipeline)))


def _parts(pipeline: SanaPipeline) -> Parts:
    encoders = [pipeline.text_encoder, pipeline.vae]
    codec, encode = DcCodec(pipeline.vae), _encoder(pipeline)
    return Parts(
        pipeline.transformer,
        encode,
        _null(pipeline),
        codec,
        pipeline.scheduler,
        encoders,
        sana_words(pipeline, encode),
    )


def _encoder(pipeline: SanaPipeline) -> Callable[[list[str]], Text]:
    """Prompts follow the instruction that the pipeline itself puts before them."""
    stated: dict[str, Any] = dict(inspect.signature(SanaPipeline.__call__).parameters)
    instruction = stated["complex_human_instruction"].default

    def encode(prompts: list[str]) -> Text:
        tokens, mask, _, _ = pipeline.encode_prompt(
            prompts,
            do_classifier_free_guidance=False,
            device=pipeline.text_encoder.device,
            complex_human_instruction=instruction,
        )
        return Text(tokens, mask)

    return encode


@torch.no_grad()
def _null(pipeline: SanaPipeline) -> Text:
    """The empty prompt, which no instruction stands before."""
    _, _, tokens, mask = pipeline.encode_prompt([""], device=pipeline.text_encoder.device)
    return Text(tokens, mask)
