"""DreamBooth: a text-to-image LoRA per subject, with its class kept as the backbone knows it.

Source: DreamBooth (Ruiz et al. 2022, arXiv 2208.12242); see ``dreambooth_card``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from torch import Tensor

from bench.api import Material, Question, Scope, Workspace
from bench.errors import UserError
from bench.methods.backbones.backbone import Backbone, Text
from bench.methods.class_images import class_images
from bench.methods.dreambooth_batches import Album, Lot, PriorPreserving
from bench.methods.dreambooth_card import DREAMBOOTH
from bench.methods.dreambooth_options import OVERRIDES, DreamBoothOptions
from bench.methods.loop import Loss, Recipe, Training
from bench.methods.objectives import Timesteps
from bench.methods.rpo_drawing import TextToImage
from bench.methods.rpo_prompts import named, tokened
from bench.processes import processes


class DreamBooth:
    """The backbone's text-to-image with an adapter of the subject's own; no reference is seen."""

    name = "dreambooth"
    card = DREAMBOOTH
    revision = 1
    scope: Scope = "subject"
    Options: ClassVar = DreamBoothOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES

    def __init__(self, backbone: Backbone, options: DreamBoothOptions) -> None:
        if not isinstance(backbone, Backbone):
            raise UserError(
                f"The backbone {backbone.spec.name} cannot be trained here; choose --backbone "
                f"flux-dev, sdxl or mini for '{self.name}'."
            )
        self.backbone, self.options = backbone, options
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance)
        self.weights, self.inputs = {self.name: 1.0}, dict[str, str]()

    def train(self, workspace: Workspace) -> None:
        """What subjects of one class share is made when the first of them is trained."""

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Train, resume or load the subject's adapter; the last subject's is taken away."""
        backbone, options = self.backbone, self.options
        path = workspace.folder / f"{self.name}.safetensors"
        self._clear()
        if not path.is_file():
            loss_of = self._loss(material, workspace)
            backbone.add_adapter(self.name, options.rank, options.seed, "image", options.precision)
            parameters = backbone.adapter_parameters(self.name)
            folder = workspace.folder / self.name
            training = Training(parameters, self.recipe, folder, options.seed)
            training.run(loss_of, workspace.log, workspace.progress, f"train {self.name}")
            processes().once(lambda: backbone.save_adapter(self.name, path))
            self._clear()
        backbone.load_adapter(self.name, path, "image", options.precision)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        cases = [question.case for question in questions]
        prompts = [tokened(case.prompt, self.options.token, case.name) for case in cases]
        return self.model.draw(prompts, [case.noise_seed for case in cases], self.weights)

    @property
    def recipe(self) -> Recipe:
        options = self.options
        return Recipe(
            steps=options.iterations, lr=options.lr, weight_decay=options.weight_decay, clip=1.0
        )

    def _loss(self, material: Material, workspace: Workspace) -> Loss:
        """Photographs and class images are encoded here, once."""
        options, backbone = self.options, self.backbone
        photographs, text = self._album(material), self._text(named(options.token, material.name))
        kept = self._kept(material.subject.class_noun, workspace) if options.prior else None
        class_text = self._text(material.subject.class_noun)
        objective = PriorPreserving(self.weights, options.prior, Timesteps(options.timesteps))

        def loss_of(index: int, generator: torch.Generator) -> tuple[Tensor, Mapping[str, float]]:
            own = _lot(photographs, text, index, options.batch)
            beside = kept and _lot(kept, class_text, index, options.batch)
            return objective(backbone, own, beside, generator)

        return loss_of

    def _album(self, material: Material) -> Album:
        shown = material.photographs
        only = self.options.photographs == "given"
        images = [shown[material.given]] if only else list(shown.values())
        return Album(self.backbone, images, "photograph", self.options.seed)

    def _kept(self, noun: str, workspace: Workspace) -> Album:
        options = self.options
        prompt = options.instance.format(noun)
        images = class_images(self.model, prompt, options.class_images, options.seed, workspace)
        return Album(self.backbone, images, "class image", options.seed)

    def _text(self, called: str) -> Text:
        return self.backbone.encode_prompts([self.options.instance.format(called)])

    def _clear(self) -> None:
        if self.backbone.adapter_parameters(self.name):
            self.backbone.remove_adapter(self.name)


def _lot(album: Album, text: Text, number: int, size: int) -> Lot:
    """Batch ``number`` of an album whose images all have one prompt."""
    tokens, pooled = text.tokens, text.pooled
    repeated = Text(torch.cat([tokens] * size), torch.cat([pooled] * size))
    return Lot(album.latents(number, size), repeated)
