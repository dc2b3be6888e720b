"""Settings of SISO's edits: its paper's on SD-Turbo, and what backbones change."""

from collections.abc import Mapping
from math import floor
from typing import Any

from pydantic import Field

from bench.methods.dreambooth_options import PLACE
from bench.methods.siso_options import DescentOptions


class SisoEditOptions(DescentOptions):
    """One case's inversion and optimisation."""

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
    lr: float = Field(3e-4, gt=0, description="AdamW's rate")
    seed: int = Field(0, ge=0, description="seed of the LoRA")

    @property
    def loop_steps(self) -> int:
        """Sampling steps of an iteration: those of equally spaced ones that strength leaves."""
        return floor(self.steps * self.strength + 1e-6)


OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "flux-schnell": {"weight_decay": 1e-4},
    "mini": {
        "objective": "dino:1",
        "background": 30.0,
        "strength": 0.8,
        "steps": 5,
        "iterations": 20,
        "through": 4,
        "lr": 2e-3,
    },
}
"""The mini backbone's settings are no paper's: they edit an image in seconds."""
