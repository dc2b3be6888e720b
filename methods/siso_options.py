"""SISO's settings: its code's on SDXL-Turbo, and what backbones change."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from bench.api import Frozen
from bench.methods.backbones.backbone import Precision
from bench.methods.dreambooth_batches import Photographs
from bench.methods.dreambooth_options import PLACE
from bench.methods.iterates import Descent
from bench.methods.likeness import spelt
from bench.methods.sft_base import GuidedOptions


class DescentOptions(Frozen):
    """What is optimised through images, and how far."""

    objective: str = Field(
        "dino:1,ir:1",
        description="encoders and weights of their cosines: dino, ir, clip_i or an encoder's name",
    )
    rank: int = Field(4, gt=0, description="rank of the LoRA (alpha is the same)")
    iterations: int = Field(50, gt=0, description="images that are looked at, at most")
    patience: int = Field(7, gt=0, description="iterations without improvement before it is over")
    threshold: float = Field(3.0, ge=0, description="percent that an improvement is at least")
    through: int = Field(1, gt=0, description="last sampling steps through which gradients flow")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay; 0 is Adam")
    precision: Precision = Field("fp32", description="what the LoRA is kept in")

    @field_validator("objective")
    @classmethod
    def _spelt_objective(cls, text: str) -> str:
        """Equal objectives are equal texts, and have one identity."""
        return spelt(text)

    def descent(self, lr: float) -> Descent:
        """At this rate, which each method states for itself."""
        return Descent(self.iterations, lr, self.weight_decay, self.patience, self.threshold)


class SisoOptions(DescentOptions, GuidedOptions):
    """One subject's optimisation, and how images are drawn."""

    drawing = GuidedOptions.drawing | {"steps"}

    simplify: bool = Field(
        True,
        description="optimise once, for a simple prompt; false: every question by itself, for its "
        "own",
    )
    prompt: str = Field("a photo of a {}", pattern=PLACE, description="the simple prompt")
    photographs: Photographs = Field(
        "given", description="what images are to be like: the one that the protocol gives, or all"
    )
    loop_steps: int = Field(1, gt=0, description="sampling steps of an iteration")
    lr: float = Field(2e-4, gt=0, description="AdamW's rate")
    seed: int = Field(0, ge=0, description="seed of the LoRA, and of the simple prompt's noise")


FLOW: Mapping[str, Any] = {"weight_decay": 1e-4}
LONG: Mapping[str, Any] = {"loop_steps": 20, "through": 3}
"""What is not distilled needs more steps for an image that an encoder can judge."""
SANA: Mapping[str, Any] = {**LONG, **FLOW, "lr": 8e-4, "patience": 5}
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "flux-schnell": FLOW,
    "sana": SANA,
    "sana-512": SANA,
    "sd-turbo": {"lr": 3e-4},
    "sd15": LONG,
    "sd21": LONG,
    "sd21-768": LONG,
    "sdxl": LONG,
    "flux-dev": {**LONG, **FLOW},
    "mini": {
        "objective": "dino:1,clip_i:0.3",
        "iterations": 30,
        "lr": 3e-3,
    },
}
"""The mini backbone's settings are no paper's: they optimise a subject in seconds."""
