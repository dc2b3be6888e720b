"""SD-Turbo: Stable Diffusion 2.1 distilled to a few steps; it knows no guidance."""

from diffusers import EulerDiscreteScheduler

from bench.methods.backbones import stable_diffusion
from bench.methods.backbones.stable_diffusion import Release
from bench.methods.backbones.unet import UnetBackbone

SD_TURBO = Release(
    "sd-turbo", resolution=512, steps=4, guidance=None, scheduler=EulerDiscreteScheduler
)


def load(resolution: int | None = None) -> UnetBackbone:
    """SD-Turbo, 4 Euler steps; UserError as for ``stable_diffusion.load``."""
    return stable_diffusion.load(SD_TURBO, resolution)
