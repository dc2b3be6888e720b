"""Stable Diffusion 2.1, sampled as Personalization Guidance (arXiv 2508.00319) does: DDIM, 50.

``sd21`` is the checkpoint for 512 pixels, which predicts noise: the paper makes its images of that
size. The one for 768 pixels, which predicts v, goes by a name of its own.
"""

from diffusers import DDIMScheduler

from bench.methods.backbones import stable_diffusion
from bench.methods.backbones.stable_diffusion import Release
from bench.methods.backbones.unet import UnetBackbone

SD21 = Release("sd21", resolution=512, steps=50, guidance=7.5, scheduler=DDIMScheduler)
SD21_768 = Release("sd21-768", resolution=768, steps=50, guidance=7.5, scheduler=DDIMScheduler)


def load(resolution: int | None = None) -> UnetBackbone:
    """Stable Diffusion 2.1 for 512 pixels, which predicts noise; DDIM, 50 steps.

    UserError as for ``stable_diffusion.load``.
    """
    return stable_diffusion.load(SD21, resolution)


def load_768(resolution: int | None = None) -> UnetBackbone:
    """Stable Diffusion 2.1 for 768 pixels, which predicts v; DDIM, 50 steps.

    UserError as for ``stable_diffusion.load``.
    """
    return stable_diffusion.load(SD21_768, resolution)
