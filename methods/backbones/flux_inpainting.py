"""FLUX.1-dev with an inpainting ControlNet, which is told which part of an image is given.

Source: alimama-creative/FLUX.1-dev-Controlnet-Inpainting-Beta. Its image tokens carry, beside the
latents of the image (black where it is to be painted), four channels that are 1 where it is given;
diffusers' ControlNet knows no such channels, so that its inpainting pipeline cannot take these
weights. Here the network gets them from its caller, and stock ``FluxControlNetPipeline`` draws.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import FluxControlNetModel, FluxControlNetPipeline
from safetensors.torch import load_file
from torch import Tensor, nn

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

NAME, BASE = "flux-inpainting", "flux-dev"


class InpaintingControlNet(FluxControlNetModel):
    """A ControlNet with further channels; ``given`` (N,) is 1 for tokens of the image given."""

    given: Tensor

    def forward(self, *, controlnet_cond: Tensor, **arguments: Any) -> Any:
        extra = self.controlnet_x_embedder.in_features - controlnet_cond.shape[-1]
        told = self.given.to(controlnet_cond)[None, :, None]
        told = told.expand(len(controlnet_cond), -1, extra)
        return super().forward(
            controlnet_cond=torch.cat([controlnet_cond, told], dim=-1), **arguments
        )


def load(resolution: int = 768) -> PipelineBackbone:
    """FLUX.1-dev and its inpainting ControlNet; ``resolution`` in pixels.

    UserError when one of the two is not here or not whole.
    """
    pipeline = pipeline_of(FluxControlNetPipeline, BASE, controlnet=opened(NAME, read))
    digests = [digest_of(weights.find(BASE)), weights.digest(weights.find(NAME))]
    spec = BackboneSpec(
        name=NAME,
        digest=identity(digests),
        resolution=resolution,
        steps=30,
        guidance=3.5,
        corpus="",
        batch=1,
    )
    return PipelineBackbone(spec, placed(pipeline))


def read(folder: Path) -> InpaintingControlNet:
    """The ControlNet of a folder, on the CPU. RuntimeError for weights of another shape."""
    config = dict(InpaintingControlNet.load_config(folder, local_files_only=True))
    extra = config.pop("extra_condition_channels", 0)
    with torch.device("meta"):
        network = InpaintingControlNet.from_config(config)
        network.controlnet_x_embedder = nn.Linear(
            network.config.in_channels + extra, network.inner_dim
        )
    state = load_file(folder / "diffusion_pytorch_model.safetensors")
    network.load_state_dict({name: x.to(precision()) for name, x in state.items()}, assign=True)
    return network.eval()
