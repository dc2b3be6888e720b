"""IP-Adapter on FLUX.1-dev: the photograph is read through CLIP, beside the prompt.

Source: IP-Adapter (arXiv 2308.06721) with the weights of XLabs. Papers that print a row of it (UNO,
Diptych Prompting) state no settings: scale and true guidance are those of diffusers' example.
"""

from PIL.Image import Image
from pydantic import Field

from bench.api import Question
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.zero_shot import SizedOptions, ZeroShot


class IpAdapterOptions(SizedOptions):
    """How images are drawn, and how much of the photograph is in them."""

    scale: float = Field(1.0, ge=0, description="weight of the photograph; 0: text alone")
    true_guidance: float = Field(
        4.0, ge=1, description="guidance away from no text and a black photograph; 1: none"
    )


class IpAdapterFlux(ZeroShot):
    """CLIP sees the centre of the photograph, as its own preparation crops it."""

    name = "ip-adapter-flux"
    backbone_name = "flux-ip-adapter"
    Options = IpAdapterOptions

    def __init__(self, backbone: PipelineBackbone, options: IpAdapterOptions) -> None:
        super().__init__(backbone, options)
        self.true_guidance = options.true_guidance
        backbone.pipeline.set_ip_adapter_scale(options.scale)

    def answer(self, question: Question) -> Image:
        return self.backbone.draw(
            question.case.prompt,
            question.case.noise_seed,
            self.side,
            ip_adapter_image=question.reference,
            negative_prompt="",
            true_cfg_scale=self.true_guidance,
            **self.sampling,
        )
