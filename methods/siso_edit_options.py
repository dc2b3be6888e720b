"""Settings of SISO's edits: its paper's on SD-Turbo, and what backbones change."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from bench.api import Frozen
from bench.methods.backbones.backbone import Precision
from bench.methods.dreambooth_options import PLACE
from bench.methods.iterates import Descent
from bench.methods.likeness import spelt


class SisoEditOptions(Frozen):
    """One case's inversion and optimisation."""

    objective: str = Field(
        "dino:1,ir:1",
        description="encoders and weights of their cosines: dino, ir, clip_i or an encoder's name",
    )
    background: float = Field(
        10.0, ge=0, description="weight of the change outside of the mask; 0 needs no mask"
    )
    strength: float = Field(
        0.75, gt=0, le=1, description="how far up an image is inverted; 1 is noise alone"
    )
    steps: int = Field(4, gt=0, description="sampling steps, of which strength leaves the last")
    prompt: str = Field(
        "a photo of a {}", pattern=PLACE, description="told with the class's noun, up and down"
    )
    rank: int = Field(4, gt=0, description="rank of the LoRA (alpha is the same)")
    iterations: int = Field(50, gt=0, description="images that are looked at, at most")
    patience: int = Field(7, gt=0, description="iterations without improvement before it is over")
    threshold: float = Field(3.0, ge=0, description="percent that an improvement is at least")
    through: int = Field(1, gt=0, description="last sampling steps through which gradients flow")
    lr: float = Field(3e-4, gt=0, description="AdamW's rate")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay; 0 is Adam")
    precision: Precision = Field("fp32", description="what the LoRA is kept in")
    seed: int = Field(0, ge=0, description="seed of the LoRA")

    @field_validator("objective")
    @classmethod
    def _spelt_objective(cls, text: str) -> str:
        """Equal objectives are equal texts, and have one identity."""
        return spelt(text)

    @property
    def descent(self) -> Descent:
        return Descent(self.iterations, self.lr, self.weight_decay, self.patience, self.threshold)


OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "flux-schnell": {"weight_decay": 1e-4},
    "mini": {
        "objective": "dino:1",
        "background": 30.0,
        "strength": 1.0,
        "iterations": 20,
        "through": 4,
        "lr": 2e-3,
    },
}
"""The mini backbone's settings are no paper's: they edit an image in seconds."""
