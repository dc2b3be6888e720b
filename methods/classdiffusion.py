"""ClassDiffusion: a learned word and a LoRA per subject, whose prompt keeps the class's meaning.

Source: ClassDiffusion (Huang et al. 2024, arXiv 2405.17532); see ``dreambooth_card``.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from bench.api import Material, Workspace
from bench.errors import UserError
from bench.methods.dreambooth_card import CLASSDIFFUSION
from bench.methods.dreambooth_options import OVERRIDES, PLACE
from bench.methods.dreambooth_ti import DreamBoothTi, DreamBoothTiOptions
from bench.methods.loop import Loss

ALIKE = "a photo of a {}"
KEYS_AND_VALUES = r".*\.(attn2\.to_[kv]|attn\.add_[kv]_proj)\.(weight|bias)"
"""Of cross-attention, or of the prompt's tokens where these attend with the image's."""


class ClassDiffusionOptions(DreamBoothTiOptions):
    """The released code's settings."""

    iterations: int = Field(500, gt=0, description="optimiser steps per subject")
    batch: int = Field(2, gt=0, description="photographs per step")
    lr: float = Field(2e-5, gt=0, description="AdamW's rate: 1e-5 times the batch")
    token: str = Field("<new1>", min_length=1, description="learned word, before the name")
    instance: str = Field(ALIKE, pattern=PLACE, description="the prompt of photographs")
    prior: float = Field(0.0, ge=0, description="weight of prior preservation; 0 turns it off")
    semantics: float = Field(1.0, ge=0, description="weight of semantic preservation")


class ClassDiffusion(DreamBoothTi):
    """DreamBooth with a learned word that is held to the meaning of its class."""

    name = "classdiffusion"
    card = CLASSDIFFUSION
    revision = 1
    Options: ClassVar = ClassDiffusionOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mini": {**OVERRIDES["mini"], "lr": 1e-3, "prior": 0.0}
    }
    full: ClassVar[str] = KEYS_AND_VALUES
    full_lr: ClassVar[float] = 2e-5

    def __init__(self, backbone: Any, options: ClassDiffusionOptions) -> None:
        super().__init__(backbone, options)
        self._semantics = options.semantics
        if options.semantics and not self.words.pooled:
            raise UserError(
                f"The backbone {backbone.spec.name} makes no pooled embedding of a prompt, which "
                f"'{self.name}' needs; choose --backbone sd15, sdxl, flux-dev or mini."
            )

    def _loss(self, material: Material, workspace: Workspace) -> Loss:
        denoising = super()._loss(material, workspace)
        noun = material.subject.class_noun
        meant = self._encoded(ALIKE.format(noun)).pooled
        said = ALIKE.format(f"{self.options.token} {noun}")

        def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
            loss, figures = denoising(index, generator)
            apart = semantic_distance(self._read(said).pooled, meant)
            return loss + self._semantics * apart, {**figures, "semantics": apart.item()}

        return loss_of


def semantic_distance(said: Tensor, meant: Tensor) -> Tensor:
    """1 - cosine of pooled embeddings (B, D), their mean; 0 to 2.

    Source: ClassDiffusion (arXiv 2405.17532), the semantic preservation loss of its code.
    """
    return (1 - F.cosine_similarity(said.float(), meant.float(), dim=-1)).mean()
