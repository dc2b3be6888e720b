"""SDXL-Turbo: SD-XL distilled to a few steps; it knows no guidance.

Its checkpoint names Euler's ancestral sampler, which adds noise between steps, from no generator
of an image's own. Here it is the plain one: the same for one step, and for more an image depends
on its noise alone.
"""

from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

from bench.methods.backbones.pipelines import pipeline_of, placed
from bench.methods.backbones.sdxl import PlainSdxl, parts_of
from bench.methods.backbones.stable_diffusion import Release

SDXL_TURBO = Release(
    "sdxl-turbo", resolution=512, steps=4, guidance=None, scheduler=EulerDiscreteScheduler
)


def load(resolution: int | None = None) -> PlainSdxl:
    """SDXL-Turbo, 4 Euler steps, from the user's own copy.

    bf16 on an accelerator, fp32 on the CPU; ``resolution`` in pixels. UserError when it is not
    there or not whole.
    """
    pipeline = pipeline_of(
        StableDiffusionXLPipeline, SDXL_TURBO.name, use_safetensors=True, add_watermarker=False
    )
    parts = parts_of(SDXL_TURBO.scheduled(placed(pipeline)))
    return PlainSdxl(SDXL_TURBO.spec(resolution), parts)
