"""DreamBooth: a text-to-image LoRA per subject, with its class kept as the backbone knows it.

Source: DreamBooth (Ruiz et al. 2022, arXiv 2208.12242); see ``dreambooth_card``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from torch import Tensor, nn

from bench.api import Material, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.methods.backbones.backbone import Backbone, Text, demand_backbone
from bench.methods.backbones.full import ALL
from bench.methods.budgets import subject_budget
from bench.methods.class_images import class_images
from bench.methods.dreambooth_batches import Album, Lot, PriorPreserving, shown
from bench.methods.dreambooth_card import DREAMBOOTH
from bench.methods.dreambooth_options import MINI_FULL_LR, OVERRIDES, DreamBoothOptions
from bench.methods.loop import Loss, Recipe, Training
from bench.methods.objectives import Timesteps
from bench.methods.rpo_prompts import named, plain, tokened
from bench.methods.text_to_image import TextToImage
from bench.processes import processes


class DreamBooth:
    """The backbone's text-to-image with an adapter of the subject's own; no reference is seen.

    ``full``: which of the network's own weights are trained where these are, and ``full_lr`` how
    fast.
    """

    name = "dreambooth"
    card = DREAMBOOTH
    revision = 1
    scope: Scope = "subject"
    Options: ClassVar = DreamBoothOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES
    full: ClassVar[str] = ALL
    full_lr: ClassVar[float] = 5e-6

    def __init__(self, backbone: Backbone, options: DreamBoothOptions) -> None:
        demand_backbone(backbone, self.name, "sd15, sd21, sdxl, sana, flux-dev or mini")
        self.backbone, self.options = backbone, options
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance)
        self._encoded = lru_cache(None)(lambda prompt: backbone.encode_prompts([prompt]))
        self.weights, self.inputs = {self.name: 1.0}, dict[str, str]()

    def train(self, workspace: Workspace) -> None:
        """What subjects of one class share is made when the first of them is trained."""

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Train, resume or load the subject's adapter; the last subject's is taken away."""
        self._noun = material.subject.class_noun
        folder = workspace.folder
        self._clear()
        if not self._adapter(folder).is_file():
            self._fit(material, workspace)
            processes().once(lambda: self._save(folder))
            self._clear()
        self._load(material, folder)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        cases = [question.case for question in questions]
        prompts = [tokened(case.prompt, self.options.token, case.name) for case in cases]
        nouns = plain(cases, self._noun) if self.options.plain else None
        model = replace(self.model, rule=self.options.guide)
        return model.draw(prompts, [case.noise_seed for case in cases], self.weights, nouns)

    @classmethod
    def budget(cls, options: DreamBoothOptions, facts: Facts, extent: Extent) -> Budget:
        """What the trainings of all subjects take, with the class images that they share."""
        return subject_budget(options, extent)

    @property
    def recipe(self) -> Recipe:
        options = self.options
        return Recipe(
            steps=options.iterations, lr=self._lr, weight_decay=options.weight_decay, clip=1.0
        )

    @property
    def _lr(self) -> float:
        options = self.options
        if options.train == "lora":
            return options.lr
        own = MINI_FULL_LR if self.backbone.spec.mini else self.full_lr
        return options.full_lr or own

    def _fit(self, material: Material, workspace: Workspace) -> None:
        options, folder = self.options, workspace.folder / self.name
        parameters = self._begin(material)
        loss_of = self._loss(material, workspace)
        training = Training(parameters, self.recipe, folder, options.seed)
        training.run(loss_of, workspace.log, workspace.progress, f"train {self.name}")

    def _begin(self, material: Material) -> dict[str, nn.Parameter]:
        """What is trained, fresh: so far the method is the plain backbone."""
        options, backbone = self.options, self.backbone
        if options.train == "full":
            backbone.add_weights(self.name, self.full, options.precision)
        else:
            backbone.add_adapter(self.name, options.rank, options.seed, "image", options.precision)
        return backbone.adapter_parameters(self.name)

    def _save(self, folder: Path) -> None:
        """The adapter comes last: where it is, everything is."""
        self.backbone.save_adapter(self.name, self._adapter(folder))

    def _load(self, material: Material, folder: Path) -> None:
        path, options = self._adapter(folder), self.options
        if options.train == "full":
            self.backbone.load_weights(self.name, path, options.precision)
        else:
            self.backbone.load_adapter(self.name, path, "image", options.precision)

    def _adapter(self, folder: Path) -> Path:
        return folder / f"{self.name}.safetensors"

    def _loss(self, material: Material, workspace: Workspace) -> Loss:
        """Photographs and class images are encoded here, once."""
        options, noun = self.options, material.subject.class_noun
        kept = self._kept(noun, workspace) if options.prior else None
        class_prompt = options.instance.format(noun)
        photographs, prompt = self._album(material), self._prompt(material)
        objective = PriorPreserving(self.weights, options.prior, Timesteps(options.timesteps))

        def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
            own = _lot(photographs, self._read(prompt), index, options.batch)
            beside = kept and _lot(kept, self._encoded(class_prompt), index, options.batch)
            return objective(self.backbone, own, beside, generator)

        return loss_of

    def _prompt(self, material: Material) -> str:
        """What photographs are trained under."""
        return self.options.instance.format(named(self.options.token, material.name))

    def _read(self, prompt: str) -> Text:
        """The prompt of photographs, which may be read anew at every step."""
        return self._encoded(prompt)

    def _album(self, material: Material) -> Album:
        images = shown(material, self.options.photographs)
        return Album(self.backbone, images, "photograph", self.options.seed)

    def _kept(self, noun: str, workspace: Workspace) -> Album:
        options = self.options
        prompt = options.instance.format(noun)
        images = class_images(self.model, prompt, options.class_images, options.seed, workspace)
        return Album(self.backbone, images, "class image", options.seed)

    def _clear(self) -> None:
        if self.backbone.adapter_parameters(self.name):
            self.backbone.remove_adapter(self.name)


def _lot(album: Album, text: Text, number: int, size: int) -> Lot:
    """Batch ``number`` of an album whose images all have one prompt."""
    tokens, pooled = text.tokens, text.pooled
    repeated = Text(torch.cat([tokens] * size), torch.cat([pooled] * size))
    return Lot(album.latents(number, size), repeated)
