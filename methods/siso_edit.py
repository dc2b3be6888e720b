"""SISO's edits: an image drawn again and again, until it shows the subject in place of what it did.

The image goes up the sampler's steps once. Every iteration comes back down under an adapter, and
is judged by how like the photograph it is and by how its background has changed.
Source: SISO (arXiv 2503.16025), Sec. 3.4; see ``siso_edit_card``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import torch
from PIL.Image import Image
from torch import Tensor

from bench.api import Case, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.errors import UserError
from bench.methods.backbones.backbone import Backbone, Condition
from bench.methods.backbones.decoding import Decoding
from bench.methods.budgets import image_budget
from bench.methods.inversion import FLOW, SD_TURBO, SDXL_TURBO, Inverted, Renoise, invert
from bench.methods.iterates import Draw, Judge, forget, open_png, optimise, save_png
from bench.methods.likeness import Loss, Objective
from bench.methods.masks import MiniOutlines, Outlines, change_outside
from bench.methods.sampling import square, to_tensor
from bench.methods.siso_edit_card import SISO_EDIT
from bench.methods.siso_edit_options import OVERRIDES, SisoEditOptions
from bench.methods.steps import sampler_steps
from bench.metrics.regions import Mask
from bench.suites import load_suite

INVERSIONS: Mapping[str, Renoise] = {
    "sd-turbo": SD_TURBO,
    "sdxl-turbo": SDXL_TURBO,
    "flux-schnell": FLOW,
    "mini": FLOW,
}
"""How the samplers of backbones that need no guidance are turned round."""
_suite = lru_cache(1)(load_suite)


class SisoEdit:
    """Every case is optimised by itself, and answered by the best of its iterates."""

    name = "siso-edit"
    card = SISO_EDIT
    revision = 1
    scope: Scope = "none"
    edits = True
    Options: ClassVar = SisoEditOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES

    def __init__(self, backbone: Backbone, options: SisoEditOptions) -> None:
        if backbone.spec.name not in INVERSIONS:
            raise UserError(
                f"The backbone {backbone.spec.name} has no way back from images to noise here; "
                f"choose --backbone {', '.join(INVERSIONS)} for '{self.name}'."
            )
        self.backbone, self.options = backbone, options
        self.inversion = INVERSIONS[backbone.spec.name]
        self.steps = sampler_steps(
            backbone, options.steps, options.strength, self.inversion.ancestral
        )
        self.objective = Objective(options.objective, backbone.spec.mini)
        self.weights, self.inputs = {self.name: 1.0}, dict(self.objective.recipes)
        if options.background:
            self.outlines = MiniOutlines() if backbone.spec.mini else Outlines()
            self.inputs["mask_recipe"] = self.outlines.recipe
        backbone.decode_by(Decoding(checkpoints=True))

    def train(self, workspace: Workspace) -> None:
        """Cases have nothing in common."""
        self._workspace = workspace

    @classmethod
    def budget(cls, options: SisoEditOptions, facts: Facts, extent: Extent) -> Budget:
        """What is optimised, case by case; inversions are left out."""
        return image_budget(options, extent.images)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        return [self._answered(question) for question in questions]

    def _answered(self, question: Question) -> Image:
        """Kept beside its iterates, so that nothing finished is optimised again."""
        case = question.case
        own = f"{self.name}/{case.subject}/{case.prompt_index:02d}-{case.seed}"
        folder = self._workspace.folder / own
        path = folder / "best.png"
        if not path.is_file():
            save_png(self._edited(question, replace(self._workspace, folder=folder)), path)
            forget(folder)
        return open_png(path)

    def _edited(self, question: Question, workspace: Workspace) -> Image:
        """ValueError for a question without an image to be edited."""
        case, options, backbone = question.case, self.options, self.backbone
        if question.source is None:
            raise ValueError(f"{case.file} comes without an image to be edited")
        source, noun = square(question.source, backbone.spec.resolution), _noun(case)
        self._clear()
        draw = self._drawing(source, noun, case.noise_seed)
        judge = self._judging(question, source, noun)
        backbone.add_adapter(self.name, options.rank, options.seed, "image", options.precision)
        parameters = backbone.adapter_parameters(self.name)
        title = f"optimise {self.name}"
        best = optimise(parameters, draw, judge, options.descent(options.lr), workspace, title)
        self._clear()
        return best.image

    def _drawing(self, source: Image, noun: str, seed: int) -> Draw:
        """The way down from the source's latent, the same every time but for the adapter."""
        backbone, generator = self.backbone, torch.Generator().manual_seed(seed)
        prompt = self.options.prompt.format(noun)
        condition = Condition(backbone.encode_prompts([prompt]), None)
        clean = backbone.encode_images(to_tensor([source], backbone.spec.resolution), [generator])
        way: Inverted = invert(backbone, clean, self.steps, condition, self.inversion, generator)

        def draw() -> Tensor:
            latents = way.redrawn(backbone, condition, self.weights, self.options.through)
            return backbone.decode(latents, gradients=True)

        return draw

    def _judging(self, question: Question, source: Image, noun: str) -> Judge:
        likeness, weight = self.objective.towards([question.reference]), self.options.background
        mask = self._mask(question.case, source, noun) if weight else None
        if mask is None:
            return likeness
        change = change_outside(mask, to_tensor([source], source.width))

        def judge(images: Tensor) -> Loss:
            like, changed = likeness(images), change(images)
            figures = {**like.figures, "background": changed.item()}
            return Loss(like.total + weight * changed.to(like.total), figures)

        return judge

    def _mask(self, case: Case, source: Image, noun: str) -> Mask | None:
        """Where nothing is found the edit goes on, so that a whole suite is answered."""
        mask = self.outlines(source, noun)
        if mask is None:
            reason = f"no {noun} was found in the image to be edited; nothing keeps its background"
            self._workspace.log({"event": "no mask", "image": case.file, "reason": reason})
        return mask

    def _clear(self) -> None:
        if self.backbone.adapter_parameters(self.name):
            self.backbone.remove_adapter(self.name)


def _noun(case: Case) -> str:
    """The class of the case's subject."""
    subjects = _suite(case.suite).subjects
    return next(s.class_noun for s in subjects if s.directory == case.subject)
