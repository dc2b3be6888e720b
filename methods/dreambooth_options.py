"""DreamBooth's settings: a LoRA's on Stable Diffusion, and what backbones change."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from bench.methods.backbones.backbone import Precision
from bench.methods.dreambooth_batches import Photographs
from bench.methods.sft_base import GuidedOptions

PLACE = r"^[^{}]*\{\}[^{}]*$"


class DreamBoothOptions(GuidedOptions):
    """One subject's training, and how images are drawn."""

    later = GuidedOptions.later | {"train", "full_lr"}

    rank: int = Field(4, gt=0, description="rank of a subject's LoRA (alpha is the same)")
    iterations: int = Field(500, gt=0, description="optimiser steps per subject")
    batch: int = Field(1, gt=0, description="photographs per step, beside as many class images")
    lr: float = Field(1e-4, gt=0, description="AdamW's rate")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay; 0 is Adam")
    timesteps: Literal["uniform", "logit-normal"] = Field("uniform", description="p(t)")
    precision: Precision = Field("fp32", description="what the LoRA is kept in")
    photographs: Photographs = Field(
        "all", description="all of the subject's, or only the one that the protocol gives"
    )
    token: str = Field("sks", description="stands before the subject's name; may be empty")
    instance: str = Field(
        "a {}", pattern=PLACE, description="the prompt of photographs, and of class images"
    )
    prior: float = Field(1.0, ge=0, description="weight of prior preservation; 0 turns it off")
    class_images: int = Field(100, gt=0, description="images of a class, shared by its subjects")
    seed: int = Field(0, ge=0, description="seed of trainings")
    train: Literal["lora", "full"] = Field(
        "lora", description="what moves: a LoRA, or the network's own weights"
    )
    full_lr: float | None = Field(
        None, gt=0, description="AdamW's rate where these do; default: the method's, or mini's"
    )

    @property
    def word(self) -> str:
        return self.token


MINI_FULL_LR = 3e-4
"""No paper's: on ``mini-validation`` it shows a subject about as well as the LoRA does."""
FLUX: Mapping[str, Any] = {"rank": 32, "iterations": 300, "weight_decay": 0.0}
LATER: Mapping[str, Any] = {"weight_decay": 1e-4}
"""diffusers' scripts for SD-XL and SANA."""
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "flux-dev": FLUX,
    "flux-schnell": FLUX,
    "sdxl": LATER,
    "sdxl-ip-adapter-vit-h": LATER,
    "sdxl-ip-adapter-plus": LATER,
    "sdxl-turbo": LATER,
    "sana": LATER,
    "sana-512": LATER,
    "mini": {
        "rank": 16,
        "iterations": 80,
        "batch": 2,
        "lr": 3e-3,
        "prior": 0.2,
        "instance": "a photo of a {}",
        "class_images": 16,
    },
}
"""The mini backbone's settings are no paper's: they train a subject in seconds.

With prior preservation at 1 its one unheard-of word keeps to the class (DINO .16 on
``mini-validation``), without it scenes are lost (CLIP-T .41).
"""
