"""Stable Diffusion 1.5, sampled as Personalization Guidance (arXiv 2508.00319) does: DDIM, 50."""

from diffusers import DDIMScheduler

from bench.methods.backbones import stable_diffusion
from bench.methods.backbones.stable_diffusion import Release
from bench.methods.backbones.unet import UnetBackbone

SD15 = Release("sd15", resolution=512, steps=50, guidance=7.5, scheduler=DDIMScheduler)


def load(resolution: int | None = None) -> UnetBackbone:
    """Stable Diffusion 1.5, which predicts noise; UserError as for ``stable_diffusion.load``."""
    return stable_diffusion.load(SD15, resolution)
