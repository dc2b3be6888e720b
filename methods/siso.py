"""SISO: a LoRA per subject, optimised through the image that is drawn with it.

Source: "Single Image Iterative Subject-driven Generation and Editing" (Shpitzer et al.,
arXiv 2503.16025); see ``siso_card``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from bench.api import Case, Material, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.methods.backbones.backbone import Backbone, Condition, demand_backbone
from bench.methods.backbones.decoding import Decoding
from bench.methods.budgets import image_budget
from bench.methods.dreambooth_batches import shown
from bench.methods.iterates import (
    Best,
    Descent,
    Draw,
    forget,
    open_png,
    optimise,
    save_png,
)
from bench.methods.likeness import Objective
from bench.methods.siso_card import SISO
from bench.methods.siso_options import OVERRIDES, SisoOptions
from bench.methods.text_to_image import TextToImage


class Siso:
    """The backbone's text-to-image with an adapter of the subject's, or the question's, own."""

    name = "siso"
    card = SISO
    revision = 1
    scope: Scope = "subject"
    Options: ClassVar = SisoOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES

    def __init__(self, backbone: Backbone, options: SisoOptions) -> None:
        demand_backbone(backbone, self.name, "sdxl-turbo, flux-schnell, sana-512 or mini")
        self.backbone, self.options = backbone, options
        self.guidance = options.guidance or backbone.spec.guidance or 1.0
        steps = options.steps or backbone.spec.steps
        self.model = TextToImage(backbone, steps, self.guidance, options.guide)
        self.objective = Objective(options.objective, backbone.spec.mini)
        self.weights, self.inputs = {self.name: 1.0}, self.objective.recipes
        backbone.decode_by(Decoding(checkpoints=True))

    def train(self, workspace: Workspace) -> None:
        """Subjects have nothing in common."""

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Optimise, go on optimising or load the subject's adapter; the last one is taken away.

        Where prompts are not simplified there is none: every question makes its own.
        """
        self._clear()
        likeness = self.objective.towards(shown(material, self.options.photographs))
        self._likeness, self._workspace = likeness, workspace
        if self.options.simplify:
            path = workspace.folder / f"{self.name}.safetensors"
            if not path.is_file():
                prompt = self.options.prompt.format(material.subject.class_noun)
                self._fit(prompt, path)
            self.backbone.load_adapter(self.name, path, "image", self.options.precision)

    def generate(self, questions: Sequence[Question]) -> list[Image.Image]:
        cases = [question.case for question in questions]
        if not self.options.simplify:
            return [self._answered(case) for case in cases]
        seeds = [case.noise_seed for case in cases]
        return self.model.draw([case.prompt for case in cases], seeds, self.weights)

    @classmethod
    def budget(cls, options: SisoOptions, facts: Facts, extent: Extent) -> Budget:
        """What is optimised: once for each subject, or for each question."""
        return image_budget(options, extent.subjects if options.simplify else extent.images)

    @property
    def descent(self) -> Descent:
        return self.options.descent(self.options.lr)

    def _fit(self, prompt: str, path: Path) -> None:
        folder = path.parent / self.name
        self._optimised(prompt, self.options.seed, folder)
        self.backbone.save_adapter(self.name, path)
        self._clear()
        forget(folder)

    def _answered(self, case: Case) -> Image.Image:
        """The best of a question's own iterates."""
        folder = self._workspace.folder / self.name / f"{case.prompt_index:02d}-{case.seed}"
        path = folder / "best.png"
        if not path.is_file():
            best = self._optimised(case.prompt, case.noise_seed, folder)
            self._clear()
            save_png(best.image, path)
            forget(folder)
        return open_png(path)

    def _optimised(self, prompt: str, seed: int, folder: Path) -> Best:
        options, backbone = self.options, self.backbone
        backbone.add_adapter(self.name, options.rank, options.seed, "image", options.precision)
        return optimise(
            backbone.adapter_parameters(self.name),
            self._drawing(prompt, seed),
            self._likeness,
            self.descent,
            replace(self._workspace, folder=folder),
            f"optimise {self.name}",
        )

    def _drawing(self, prompt: str, seed: int) -> Draw:
        """The same prompt and the same noise every time."""
        backbone, options = self.backbone, self.options
        condition = Condition(backbone.encode_prompts([prompt]), None)
        noise = backbone.noise([torch.Generator().manual_seed(seed)])

        def draw() -> Tensor:
            latents = backbone.sample(
                condition,
                noise,
                self.weights,
                options.loop_steps,
                self.guidance,
                through=options.through,
            )
            return backbone.decode(latents, gradients=True)

        return draw

    def _clear(self) -> None:
        if self.backbone.adapter_parameters(self.name):
            self.backbone.remove_adapter(self.name)
