"""RPO's settings: those of its LoRA on SD-XL, and what backbones change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.methods.backbones.backbone import Precision
from bench.methods.sft_base import GuidedOptions


class RpoOptions(GuidedOptions):
    """One subject's training, and how images are drawn."""

    rank: int = Field(32, gt=0, description="rank of a subject's LoRA (alpha is the same)")
    iterations: int = Field(1000, gt=0, description="optimiser steps per subject")
    batch: int = Field(1, gt=0, description="pairs per step")
    lr: float = Field(1e-5, gt=0, description="AdamW's rate")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's weight decay")
    beta: float = Field(1.0, gt=0, description="strength of the preference")
    timesteps: Literal["uniform", "logit-normal"] = Field("uniform", description="p(t)")
    precision: Precision = Field("fp32", description="what the LoRA is kept in")
    lambda_train: float = Field(
        0.0, ge=0, le=1, description="the references' share in the reward that labels"
    )
    lambda_val: float = Field(
        0.5, ge=0, le=1, description="the references' share in the reward that chooses the step"
    )
    validate_every: int = Field(40, gt=0, description="steps between validations")
    validation_images: int = Field(4, gt=0, description="images per scene and validation")
    images: int = Field(4, gt=0, description="generated images per scene to train on")
    token: str = Field("[V]", description="stands before the subject's name; may be empty")
    instance: str = Field(
        "a photo of {}", pattern=r"^[^{}]*\{\}[^{}]*$", description="the prompt of photographs"
    )
    prompts: Path | None = Field(
        None, description="scenes with {} for the name, one a line; default: eight built-in ones"
    )
    judge: str = Field("align-base", description="encoder that compares images with texts")
    looker: str | None = Field(
        None, description="encoder that compares images with photographs; default: the judge"
    )
    seed: int = Field(0, ge=0, description="seed of trainings")

    @property
    def word(self) -> str:
        return self.token


OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "sd21": {"iterations": 400, "lr": 5e-6, "weight_decay": 1e-2},
    "mini": {
        "iterations": 60,
        "batch": 4,
        "lr": 1e-3,
        "validate_every": 20,
        "validation_images": 1,
        "images": 1,
        "token": "",
        "instance": "a photo of a {}",
        "judge": "mini-clip",
    },
}
"""The mini backbone's settings are not the paper's: they train a subject in seconds."""
