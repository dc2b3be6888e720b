"""What methods over a stock pipeline have in common: no training, and each case is drawn alone.

An image therefore depends on nothing that is drawn beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL.Image import Image
from pydantic import Field

from bench.api import Question, Scope, Workspace
from bench.errors import UserError
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.sft_base import SamplingOptions


class SizedOptions(SamplingOptions):
    """How, and how large, images are drawn."""

    resolution: int | None = Field(
        None, gt=0, multiple_of=16, description="side in pixels; default: the backbone's"
    )


class ZeroShot(ABC):
    """A method that draws with the one backbone made for it. UserError for any other."""

    name: str
    revision = 1
    scope: Scope = "none"
    backbone_name: ClassVar[str]
    Options: ClassVar[type[SamplingOptions]] = SamplingOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: PipelineBackbone, options: SamplingOptions) -> None:
        if backbone.spec.name != self.backbone_name:
            raise UserError(
                f"'{self.name}' does not draw with the backbone {backbone.spec.name}; run it with "
                f"--backbone {self.backbone_name}."
            )
        self.backbone = backbone
        self.inputs: dict[str, str] = {}
        self.sampling = {
            "num_inference_steps": options.steps or backbone.spec.steps,
            "guidance_scale": options.guidance or backbone.spec.guidance,
        }
        self.side = getattr(options, "resolution", None) or backbone.spec.resolution

    def train(self, workspace: Workspace) -> None:
        """There is nothing to train."""
        self.log = workspace.log

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        return [self.answer(question) for question in questions]

    @abstractmethod
    def answer(self, question: Question) -> Image:
        """One RGB image."""
