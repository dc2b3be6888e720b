"""InstructPix2Pix (arXiv 2211.09800), from the user's own copies of it and of SD 1.5.

Its network is SD 1.5's with four channels more, which see the image to be edited and start at zero.
Here it is SD 1.5 so widened, with the fine-tuned weights beside it: at scale 0 the plain SD 1.5
answers, which sees no image, and in between lies what personalization guidance asks for.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn

from bench import weights
from bench.identity import identity
from bench.methods.backbones.backbone import BackboneSpec, Condition, Generators
from bench.methods.backbones.pipelines import digest_of, opened, pipeline_of, placed, precision
from bench.methods.backbones.stable_diffusion import Release, parts_of
from bench.methods.backbones.unet import Parts, UnetBackbone

RELEASE = Release(
    "instruct-pix2pix", resolution=512, steps=50, guidance=7.5, scheduler=DDIMScheduler
)
TUNED = "instruct-pix2pix"
"""The weights that make an editor of SD 1.5."""


class InstructPix2PixBackbone(UnetBackbone):
    """``Condition.reference`` is the latent (B, C, h, w) of the image to be edited."""

    def __init__(self, spec: BackboneSpec, parts: Parts, tuned: Path) -> None:
        super().__init__(spec, parts)
        self.load_weights(TUNED, tuned)

    def encode_references(self, images: Tensor, generators: Generators) -> Tensor:
        """The likeliest latents, in the autoencoder's own scale: nothing is drawn."""
        return self.moments(images).chunk(2, dim=1)[0].to(self.device)

    def _forward(self, x: Tensor, timesteps: Tensor, condition: Condition) -> Tensor:
        seen = condition.reference
        seen = torch.zeros_like(x) if seen is None else seen.to(x.dtype)
        return super()._forward(torch.cat([x, seen], dim=1), timesteps, condition)


def load(resolution: int | None = None) -> InstructPix2PixBackbone:
    """bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels.

    UserError when InstructPix2Pix or SD 1.5 is not there or not whole.
    """
    pipeline = pipeline_of(
        StableDiffusionPipeline,
        RELEASE.name,
        unet=opened("sd15", _widened),
        use_safetensors=True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    parts = parts_of(RELEASE.scheduled(placed(pipeline)))
    digest = identity([digest_of(RELEASE.name), digest_of("sd15")])
    spec = replace(RELEASE.spec(resolution), digest=digest)
    return InstructPix2PixBackbone(spec, parts, weights.find(RELEASE.name) / "unet")


def _widened(folder: Path) -> Any:
    """SD 1.5's network with channels that it ignores."""
    unet = UNet2DConditionModel.from_pretrained(
        folder, subfolder="unet", dtype=precision(), local_files_only=True
    )
    first, channels = unet.conv_in, 2 * unet.conv_in.in_channels
    unet.conv_in = nn.Conv2d(channels, first.out_channels, first.kernel_size, padding=first.padding)
    unet.conv_in.weight.data = torch.cat([first.weight, torch.zeros_like(first.weight)], dim=1)
    unet.conv_in.bias.data = first.bias.data
    unet.register_to_config(in_channels=channels)
    return unet
