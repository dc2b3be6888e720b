"""Text-only: the backbone without the subject, plain text-to-image: what the prompt alone gives.

An anchor like those of ``bench.methods.anchors``, but drawn by a network.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from PIL.Image import Image

from bench.api import Question, Scope, Workspace
from bench.methods.backbones.backbone import OFF, Backbone, demand_backbone
from bench.methods.sft_base import GuidedOptions
from bench.methods.text_to_image import TextToImage


class TextOnly:
    """Every prompt as it is asked; the reference is not looked at."""

    name = "text-only"
    revision = 1
    scope: Scope = "none"
    needs_references = False
    Options: ClassVar = GuidedOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: Backbone, options: GuidedOptions) -> None:
        demand_backbone(backbone, self.name, "sd15, sd21, sdxl, sana, flux-dev or mini")
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance, options.guide)
        self.inputs: dict[str, str] = {}

    def train(self, workspace: Workspace) -> None:
        """There is nothing to train."""

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        cases = [question.case for question in questions]
        seeds = [case.noise_seed for case in cases]
        return self.model.draw([case.prompt for case in cases], seeds, OFF)
