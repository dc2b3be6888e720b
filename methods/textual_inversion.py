"""Textual Inversion: a subject becomes a word, and nothing else is trained.

Source: Textual Inversion (Gal et al. 2022, arXiv 2208.01618); see ``dreambooth_card``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from pydantic import Field
from torch import Tensor, nn

from bench.api import Material, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.identity import seed_of
from bench.methods.backbones.backbone import OFF, Backbone
from bench.methods.backbones.words import load_words, save_words
from bench.methods.budgets import subject_budget
from bench.methods.dreambooth_batches import Album, Lot, Photographs, PriorPreserving, shown
from bench.methods.dreambooth_card import TEXTUAL_INVERSION
from bench.methods.dreambooth_ti import words_of
from bench.methods.loop import Loss, Recipe, Training
from bench.methods.objectives import Timesteps
from bench.methods.rpo_prompts import called, plain
from bench.methods.sft_base import GuidedOptions
from bench.methods.text_to_image import TextToImage
from bench.processes import processes

TEMPLATES = (
    "a photo of a {}",
    "a picture of the {}",
    "a close view of a {}",
    "a snapshot of one {}",
    "a detailed photo of the {}",
    "a plain photo of my {}",
)
MINI_TEMPLATES = TEMPLATES[:1]
OBJECTIVE = PriorPreserving(OFF, 0.0, Timesteps("uniform"))


class TextualInversionOptions(GuidedOptions):
    """The settings of diffusers' example."""

    iterations: int = Field(3000, gt=0, description="optimiser steps per subject")
    batch: int = Field(4, gt=0, description="photographs per step")
    lr: float = Field(2e-3, gt=0, description="AdamW's rate: 5e-4 times the batch")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay")
    photographs: Photographs = Field(
        "all", description="all of the subject's, or only the one that the protocol gives"
    )
    token: str = Field(
        "<subject>", pattern=r"^\S+$", description="the learned word, in place of the name"
    )
    initial: str | None = Field(
        None, description="what its vector starts as the mean of; default: the class noun"
    )
    seed: int = Field(0, ge=0, description="seed of trainings")

    @property
    def word(self) -> str:
        return self.token


class TextualInversion:
    """The backbone as it is, told of the subject by a learned word; no reference is seen."""

    name = "textual-inversion"
    card = TEXTUAL_INVERSION
    revision = 1
    scope: Scope = "subject"
    Options: ClassVar = TextualInversionOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {"mini": {"iterations": 50, "lr": 1e-2}}

    def __init__(self, backbone: Backbone, options: TextualInversionOptions) -> None:
        self.backbone, self.options = backbone, options
        self.words = words_of(backbone, self.name)
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance)
        self.templates = MINI_TEMPLATES if backbone.spec.mini else TEMPLATES
        self.inputs: dict[str, str] = {}

    def train(self, workspace: Workspace) -> None:
        """Subjects have nothing in common."""

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Train, resume or load the subject's vectors, which replace the last subject's."""
        self._noun = material.subject.class_noun
        path = workspace.folder / f"{self.name}.safetensors"
        if not path.is_file():
            vectors = self._learn(material)
            folder, seed = workspace.folder / self.name, self.options.seed
            training = Training(vectors, self.recipe, folder, seed)
            loss_of = self._loss(material)
            training.run(loss_of, workspace.log, workspace.progress, f"train {self.name}")
            processes().once(lambda: save_words(vectors, path))
        load_words(self._learn(material), path)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        cases = [question.case for question in questions]
        prompts = [called(case.prompt, case.name, self.options.token) for case in cases]
        nouns = plain(cases, self._noun) if self.options.plain else None
        model = replace(self.model, rule=self.options.guide)
        return model.draw(prompts, [case.noise_seed for case in cases], OFF, nouns)

    @classmethod
    def budget(cls, options: TextualInversionOptions, facts: Facts, extent: Extent) -> Budget:
        """What the trainings of all subjects take."""
        return subject_budget(options, extent)

    @property
    def recipe(self) -> Recipe:
        options = self.options
        return Recipe(
            steps=options.iterations, lr=options.lr, weight_decay=options.weight_decay, clip=1.0
        )

    def _learn(self, material: Material) -> dict[str, nn.Parameter]:
        options = self.options
        return self.words.add(options.token, options.initial or material.subject.class_noun)

    def _loss(self, material: Material) -> Loss:
        options, backbone = self.options, self.backbone
        album = Album(backbone, shown(material, options.photographs), "photograph", options.seed)

        def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
            text = self.words.encode(self._prompts(index))
            lot = Lot(album.latents(index, options.batch), text)
            return OBJECTIVE(backbone, lot, None, generator)

        return loss_of

    def _prompts(self, number: int) -> list[str]:
        """Those of batch ``number``: a template drawn for every photograph."""
        options = self.options
        generator = torch.Generator().manual_seed(seed_of(options.seed, "template", number))
        drawn = torch.randint(len(self.templates), (options.batch,), generator=generator)
        return [self.templates[place].format(options.token) for place in drawn.tolist()]
