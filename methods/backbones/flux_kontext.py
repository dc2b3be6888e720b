"""FLUX.1-Kontext-dev, which draws from a prompt and an image, in diffusers' own pipeline.

Source: FLUX.1 Kontext (arXiv 2506.15742). 28 steps, guidance 2.5 and about a megapixel, as its
model card and diffusers' pipeline have it.
"""

from diffusers import FluxKontextPipeline

from bench import weights
from bench.methods.backbones.backbone import BackboneSpec
from bench.methods.backbones.flux_hub import digest_of
from bench.methods.backbones.pipelines import PipelineBackbone, pipeline_of, placed

NAME = "flux-kontext"


def load(resolution: int = 1024) -> PipelineBackbone:
    """FLUX.1-Kontext-dev; ``resolution`` in pixels. UserError when it is not here or not whole."""
    pipeline = pipeline_of(FluxKontextPipeline, NAME)
    spec = BackboneSpec(
        name=NAME,
        digest=digest_of(weights.find(NAME)),
        resolution=resolution,
        steps=28,
        guidance=2.5,
        corpus="",
        batch=1,
    )
    return PipelineBackbone(spec, placed(pipeline))
