"""IP-Adapter on SD-XL, as it comes: an image prompt beside the text, nothing trained.

Source: "IP-Adapter" (arXiv 2308.06721); the zero-shot row of SFO's Table 1 and the reference model
of its Table G (arXiv 2506.03621).
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL.Image import Image
from pydantic import Field

from bench.api import Question, Scope, Workspace
from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Backbone
from bench.methods.backbones.sdxl import IMAGE_SCALE, SdxlBackbone
from bench.methods.sampling import answer
from bench.methods.sft_base import GuidedOptions


class IpAdapterOptions(GuidedOptions):
    """How images are drawn, and how much the reference counts beside the prompt."""

    guidance: float | None = Field(
        None, gt=0, description="classifier-free guidance; default: the backbone's"
    )
    scale: float = Field(IMAGE_SCALE, ge=0, description="weight of the image prompt; 0: text alone")


class IpAdapter:
    """The reference as an image prompt, zero-shot."""

    name = "ip-adapter"
    revision = 1
    scope: Scope = "none"
    Options: ClassVar = IpAdapterOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: Backbone, options: IpAdapterOptions) -> None:
        if not isinstance(backbone, SdxlBackbone):
            raise UserError(
                f"The backbone {backbone.spec.name} holds no IP-Adapter; choose --backbone sdxl "
                "for 'ip-adapter'."
            )
        self.backbone = backbone.seeing(options.scale)
        self.steps = options.steps or backbone.spec.steps
        self.guidance = options.guidance or backbone.spec.guidance or 1.0
        self.guide = options.guide
        self.inputs: dict[str, str] = {}

    def train(self, workspace: Workspace) -> None:
        """There is nothing to train."""

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        return answer(self.backbone, questions, OFF, self.steps, self.guidance, self.guide)
