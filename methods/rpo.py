"""RPO: a text-to-image adapter per subject, by preferences that a reward on images and text gives.

Source: RPO (Miao et al. 2024, arXiv 2407.12164) and its released code; see ``rpo_card``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from PIL.Image import Image

from bench import registry
from bench.api import Encoder, Material, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.identity import file_digest
from bench.methods.backbones.backbone import Backbone, demand_backbone
from bench.methods.budgets import rpo_budget
from bench.methods.rpo_card import RPO
from bench.methods.rpo_options import OVERRIDES, RpoOptions
from bench.methods.rpo_prompts import plain, scenes, tokened
from bench.methods.rpo_reward import Reward
from bench.methods.rpo_training import Sitter, SubjectTraining
from bench.methods.text_to_image import TextToImage


class Rpo:
    """The backbone's text-to-image with an adapter of the subject's own; no reference is seen."""

    name = "rpo"
    card = RPO
    revision = 1
    scope: Scope = "subject"
    Options: ClassVar = RpoOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES

    def __init__(self, backbone: Backbone, options: RpoOptions) -> None:
        demand_backbone(backbone, self.name, "flux-dev, sdxl or mini")
        self.backbone, self.options = backbone, options
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance)
        self.templates = scenes(options.prompts, backbone.spec.mini)
        self.reader: Encoder = registry.load("encoder", options.judge)()
        self.looker: Encoder = registry.load("encoder", options.looker or options.judge)()
        self.inputs = {"judge_recipe": self.reader.recipe, "looker_recipe": self.looker.recipe}
        if options.prompts:
            self.inputs["prompts"] = file_digest(options.prompts)

    def train(self, workspace: Workspace) -> None:
        """Subjects have nothing in common."""

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Train, resume or load the subject's adapter; the last subject's is taken away."""
        self._noun = material.subject.class_noun
        path = workspace.folder / f"{self.name}.safetensors"
        self._clear()
        if not path.is_file():
            photographs = list(material.photographs.values())
            reward = Reward(self.reader, self.looker, photographs)
            sitter = Sitter(material.subject.directory, material.name, photographs, reward)
            SubjectTraining(
                self.model, self.name, self.options, self.templates, sitter, workspace
            ).run(path)
            self._clear()
        self.backbone.load_adapter(self.name, path, "image", self.options.precision)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        cases = [question.case for question in questions]
        prompts = [tokened(case.prompt, self.options.token, case.name) for case in cases]
        nouns = plain(cases, self._noun) if self.options.plain else None
        model = replace(self.model, rule=self.options.guide)
        return model.draw(prompts, [case.noise_seed for case in cases], {self.name: 1.0}, nouns)

    @classmethod
    def budget(cls, options: RpoOptions, facts: Facts, extent: Extent) -> Budget:
        """What the trainings of all subjects take, with all that is drawn for them."""
        return rpo_budget(options, extent)

    def _clear(self) -> None:
        if self.backbone.adapter_parameters(self.name):
            self.backbone.remove_adapter(self.name)
