"""Checkpoint: drawing from text with a fine-tune that was made elsewhere; nothing is trained here.

A LoRA, one LoRA per subject, or the whole network, under any guidance. Source: the applications in
Sec. 4.3 of "Steering Guidance for Personalized Text-to-Image Diffusion Models" (arXiv 2508.00319).
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL.Image import Image
from pydantic import Field

from bench import weights
from bench.api import Card, Case, Question, Scope, Workspace
from bench.digests import digest
from bench.errors import UserError
from bench.identity import identity
from bench.made import specification_of
from bench.methods.backbones.backbone import Backbone, demand_backbone
from bench.methods.dreambooth_options import PLACE
from bench.methods.rpo_prompts import tokened
from bench.methods.sft_base import GuidedOptions
from bench.methods.text_to_image import TextToImage

BROUGHT = "brought"
"""The one adapter that is on the backbone."""
DIFFUSERS = "pytorch_lora_weights.safetensors"
"""What diffusers' training scripts call their LoRA."""

CARD = Card(
    source="Personalization Guidance (arXiv 2508.00319), Sec. 4.3",
    stated={
        "weights": "Diffusion-DPO's SD 1.5, its weak model at omega 0.4 between SD 1.5 and it",
        "lora": "two style LoRAs that PairCustomization released, the weak model at omega 0",
    },
    choices={
        "lora": "on the network alone; a LoRA of a text encoder is refused, since nobody says at "
        "which strength the weak model reads its empty prompt",
        "tokens": "a LoRA of FLUX acts on the prompt's tokens as well, as in diffusers",
        "backbone": "PairCustomization's LoRAs are SD-XL's, where the paper says SD 1.5",
    },
)


class CheckpointOptions(GuidedOptions):
    """Which fine-tune, and how its subject is called."""

    lora: Path | None = Field(
        None,
        description="safetensors of a LoRA, or a folder with <subject>.safetensors for each, or "
        f"with <subject>/{DIFFUSERS} or whatever one is there alone",
    )
    weights: str | None = Field(
        None, description="the whole network: weights known here by name, a file or a folder"
    )
    scale: float = Field(1.0, allow_inf_nan=False, description="strength of the fine-tune")
    token: str = Field("", description="stands before the subject's name")
    prompt: str = Field(
        "{}", pattern=PLACE, description="what stands around a prompt, as in '{}, pixel art'"
    )
    tokens: Literal["all", "image"] = Field(
        "all", description="what a LoRA of FLUX acts on; image: as those that are trained here"
    )

    @property
    def word(self) -> str:
        return self.token


class Checkpoint:
    """The backbone's text-to-image with weights of other people; no reference is seen."""

    name = "checkpoint"
    card = CARD
    revision = 1
    scope: Scope = "none"
    needs_references = False
    Options: ClassVar = CheckpointOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: Backbone, options: CheckpointOptions) -> None:
        demand_backbone(backbone, self.name, "sd15, sd21, sdxl, sana, flux-dev or mini")
        self.backbone, self.options = backbone, options
        steps = options.steps or backbone.spec.steps
        guidance = options.guidance or backbone.spec.guidance or 1.0
        self.model = TextToImage(backbone, steps, guidance, options.guide)
        self._files = _files(options)
        self.inputs = {"lora" if options.lora else "weights": _identity(self._files)}
        self._worn: Path | None = None

    def train(self, workspace: Workspace) -> None:
        """Nothing is trained; a subject without a file is named before anything is drawn."""
        told = specification_of(workspace.folder.parent) or {}
        for subject in told.get("subjects", ()):
            self._file(subject)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        images: list[Image] = []
        cases = [question.case for question in questions]
        for file, group in groupby(cases, key=lambda case: self._file(case.subject)):
            self._wear(file)
            images += self._draw(list(group))
        return images

    def _draw(self, cases: Sequence[Case]) -> list[Image]:
        token, around = self.options.token, self.options.prompt.format
        prompts = [around(tokened(case.prompt, token, case.name)) for case in cases]
        plain = [around(case.prompt) for case in cases] if self.options.plain else None
        seeds = [case.noise_seed for case in cases]
        return self.model.draw(prompts, seeds, {BROUGHT: self.options.scale}, plain)

    def _file(self, subject: str) -> Path:
        """What is drawn with when this subject is asked for."""
        found = self._files.get("", self._files.get(subject))
        if found is None:
            raise UserError(
                f"There is no LoRA of '{subject}' in {self.options.lora}; add "
                f"{subject}.safetensors or {subject}/{DIFFUSERS}, or limit the run to the first "
                "subjects with --limit-subjects."
            )
        return found

    def _wear(self, file: Path) -> None:
        if file == self._worn:
            return
        if self.backbone.adapter_parameters(BROUGHT):
            self.backbone.remove_adapter(BROUGHT)
        self._worn = None
        if self.options.weights:
            self.backbone.load_weights(BROUGHT, file)
        elif self.options.tokens == "image":
            self.backbone.load_adapter(BROUGHT, file, "image")
        else:
            self.backbone.bring_adapter(BROUGHT, file)
        self._worn = file


def _files(options: CheckpointOptions) -> dict[str, Path]:
    """Subject to its file; under the empty name what is for all of them."""
    if options.lora and not options.weights:
        return _loras(options.lora.expanduser())
    if options.weights and not options.lora:
        given = Path(options.weights).expanduser()
        return {"": given if given.exists() else weights.find(options.weights)}
    raise UserError(
        "'checkpoint' draws with one fine-tune: say which with --set lora=FILE, --set lora=DIR or "
        "--set weights=NAME."
    )


def _loras(place: Path) -> dict[str, Path]:
    alone = place / DIFFUSERS if place.is_dir() else place
    if alone.is_file():
        return {"": alone}
    files = {path.stem: path for path in sorted(place.glob("*.safetensors"))}
    for directory in sorted(path for path in place.glob("*") if path.is_dir()):
        found = sorted(directory.glob("*.safetensors"))
        named = [path for path in found if path.name == DIFFUSERS] or found
        if len(named) == 1:
            files[directory.name] = named[0]
    if not files:
        raise UserError(f"There is no LoRA at {place}; check the option 'lora'.")
    return files


def _identity(files: Mapping[str, Path]) -> str:
    """One file's own digest, however it is called; else that of all by their subjects."""
    if "" in files:
        return digest(files[""])
    return identity({subject: digest(path) for subject, path in files.items()})
