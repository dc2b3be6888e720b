"""FLUX.1-dev with the IP-Adapter of XLabs, which reads an image through CLIP, in stock diffusers.

Source: IP-Adapter (arXiv 2308.06721); XLabs-AI/flux-ip-adapter, trained at 512 and 1024 pixels.
"""

from pathlib import Path
from typing import Any

from diffusers import FluxPipeline
from transformers import CLIPVisionModelWithProjection

from bench import weights
from bench.identity import identity
from bench.methods.backbones.backbone import BackboneSpec
from bench.methods.backbones.flux_hub import digest_of
from bench.methods.backbones.pipelines import (
    PipelineBackbone,
    opened,
    pipeline_of,
    placed,
    precision,
)

NAME, BASE, ENCODER = "flux-ip-adapter", "flux-dev", "clip-vit-large-patch14"


def load(resolution: int = 512) -> PipelineBackbone:
    """FLUX.1-dev and its IP-Adapter; ``resolution`` in pixels.

    UserError when one of the three (backbone, adapter, image encoder) is not here or not whole.
    """
    adapter = weights.find(NAME)
    pipeline = pipeline_of(FluxPipeline, BASE, image_encoder=opened(ENCODER, clip_image_encoder))
    opened(
        NAME,
        lambda file: pipeline.load_ip_adapter(
            str(file.parent), weight_name=file.name, local_files_only=True
        ),
    )
    digests = [
        digest_of(weights.find(BASE)),
        *map(weights.digest, (adapter, weights.find(ENCODER))),
    ]
    spec = BackboneSpec(
        name=NAME,
        digest=identity(digests),
        resolution=resolution,
        steps=28,
        guidance=3.5,
        corpus="",
        batch=1,
    )
    return PipelineBackbone(spec, placed(pipeline))


def clip_image_encoder(folder: Path) -> Any:
    """CLIP's image tower with its projection. ValueError when a weight is missing."""
    encoder, report = CLIPVisionModelWithProjection.from_pretrained(
        folder,
        dtype=precision(),
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        # transformers would make these up, and every image with them.
        raise ValueError(f"without {min(report['missing_keys'])}")
    return encoder.eval()
