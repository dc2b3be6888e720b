"""InstructPix2Pix: an image is edited as it is told, guided by image and instruction at once.

Source: InstructPix2Pix (arXiv 2211.09800), Sec. 3.2; with personalization guidance as in Sec. 4.3
of arXiv 2508.00319.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from PIL.Image import Image
from pydantic import Field, model_validator
from torch import Tensor

from bench.api import Card, Question, Scope, Workspace
from bench.errors import UserError
from bench.methods.backbones.backbone import Asked, Condition, Place, Rule, Weights
from bench.methods.backbones.instruct_pix2pix import TUNED, InstructPix2PixBackbone
from bench.methods.dreambooth_options import PLACE
from bench.methods.guidance import Cfg, Pg, Unguided
from bench.methods.sampling import draw
from bench.methods.sft_base import GuidedOptions

CARD = Card(
    source="InstructPix2Pix (arXiv 2211.09800), as Personalization Guidance (arXiv 2508.00319), "
    "Sec. 4.3, weakens it",
    stated={
        "guidance": "7.5 for the instruction, 1.5 for the image (released code)",
        "rule": "omega 0: plain SD 1.5 gives the unconditional answer (Personalization Guidance)",
    },
    choices={
        "steps": "50 of DDIM, as Personalization Guidance samples SD 1.5; the released code takes "
        "100 of an ancestral sampler, whose noise no seed of a case could give alike",
        "rule": "which answer is the unconditional one is not said; the one without image and "
        "without instruction, the only one that SD 1.5 can give",
        "prompt": "suites ask for pictures and not for changes; as they ask, or with an "
        "instruction around it",
        "crop": "the central square of the image, at the network's size",
    },
)


class InstructPix2PixOptions(GuidedOptions):
    """How an image is edited."""

    guidance: float | None = Field(
        None, gt=0, description="guidance by the instruction; default: the backbone's"
    )
    image_guidance: float = Field(1.5, ge=0, description="guidance by the image to be edited")
    prompt: str = Field(
        "{}", pattern=PLACE, description="what stands around a prompt, as in 'turn it into {}'"
    )

    @model_validator(mode="after")
    def _by_two(self) -> Self:
        if self.guide is not None and type(self.guide) not in (Unguided, Cfg, Pg):
            raise UserError(
                f"'instruct-pix2pix' is guided by an image as well, which {self.guide} does not "
                "know; choose cfg, pg or none."
            )
        return self


@dataclass(frozen=True)
class ByImageToo:
    """A rule of two answers, with a third between them: the image without an instruction."""

    rule: Cfg | Pg
    image: float
    stepwise: ClassVar[bool] = False
    plain: ClassVar[bool] = False

    def asks(
        self, condition: Condition, without: Callable[[Condition], Condition], weights: Weights
    ) -> list[Asked]:
        neither, both = self.rule.asks(condition, without, weights)
        seen = Condition(neither.condition.text, condition.reference)
        return [neither, Asked(seen, both.weights), both]

    def combine(self, answers: Sequence[Tensor], place: Place) -> Tensor:
        neither, seen, both = answers
        return neither + self.image * (seen - neither) + self.rule.scale * (both - seen)


class InstructPix2Pix:
    """The centre square of the image to be edited, changed as the prompt says; nothing trained."""

    name = "instruct-pix2pix"
    card = CARD
    revision = 1
    scope: Scope = "none"
    edits = True
    backbone_name = "instruct-pix2pix"
    Options: ClassVar = InstructPix2PixOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: InstructPix2PixBackbone, options: InstructPix2PixOptions) -> None:
        self.backbone, self.options = backbone, options
        self.steps = options.steps or backbone.spec.steps
        self.rule = self._rule(options.guidance or backbone.spec.guidance or 1.0)
        self.inputs: dict[str, str] = {}

    def _rule(self, guidance: float) -> Rule:
        rule = self.options.guide or Cfg(scale=guidance)
        return ByImageToo(rule, self.options.image_guidance) if isinstance(rule, Cfg | Pg) else rule

    def train(self, workspace: Workspace) -> None:
        """There is nothing to train."""

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        """ValueError for a question without an image to be edited."""
        cases = [question.case for question in questions]
        return draw(
            self.backbone,
            [self.options.prompt.format(case.prompt) for case in cases],
            [_source(question) for question in questions],
            [case.noise_seed for case in cases],
            {TUNED: 1.0},
            self.steps,
            1.0,
            self.rule,
        )


def _source(question: Question) -> Image:
    if question.source is None:
        raise ValueError(f"{question.case.file} comes without an image to be edited")
    return question.source
