"""SFT-base: the supervised subject-driven model that comparative methods start from.

OminiControl's subject LoRA (arXiv 2411.15098): reference tokens at timestep 0 beside the image,
the adapter acts on them alone. Trained by flow matching on triplets.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from PIL.Image import Image
from pydantic import Field

from bench.api import Frozen, Question, Scope, Workspace
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import Examples, FlowMatching
from bench.methods.corpora import Corpus, load_corpus
from bench.methods.loop import Recipe, Training
from bench.methods.sampling import answer

ADAPTER = "sft"


class SamplingOptions(Frozen):
    """How images are drawn."""

    steps: int | None = Field(None, gt=0, description="sampling steps; default: the backbone's")
    guidance: float | None = Field(
        None, gt=0, description="distilled guidance; default: the backbone's"
    )


class SftOptions(SamplingOptions):
    """Where the SFT adapter comes from: a file, the backbone's own, or a training."""

    adapter: Path | None = Field(
        None, description="safetensors of an SFT LoRA; default: the backbone's own, else train one"
    )
    sft_rank: int = Field(4, gt=0, description="rank of an SFT LoRA trained here")
    sft_iterations: int = Field(15_000, gt=0, description="its optimiser steps")
    sft_batch: int = Field(8, gt=0, description="triplets per step, one at a time")
    seed: int = Field(0, ge=0, description="seed of trainings")


class SftBase:
    """The SFT model as a method of its own."""

    name = "sft-base"
    revision = 1
    scope: Scope = "corpus"
    Options: ClassVar = SftOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: FluxBackbone, options: SftOptions) -> None:
        self.backbone, self.options = backbone, options
        self.steps = options.steps or backbone.spec.steps
        self.guidance = options.guidance or backbone.spec.guidance or 1.0
        self.weights = {ADAPTER: 1.0}
        self.adapter = options.adapter or backbone.spec.sft
        if self.adapter and not self.adapter.is_file():
            raise UserError(f"There is no adapter at {self.adapter}; check the option 'adapter'.")
        self.corpus = None if self.adapter else load_corpus(backbone.spec.corpus)
        self.inputs: dict[str, str] = {}
        if self.adapter:
            self.inputs["adapter"] = file_digest(self.adapter)
        if self.corpus:
            self.inputs["sft_corpus_identity"] = self.corpus.identity

    def train(self, workspace: Workspace) -> None:
        """Load the adapter, or train it where none is given."""
        path = self.adapter or workspace.folder / f"{ADAPTER}.safetensors"
        if self.corpus and not path.is_file():
            self._train(self.corpus, workspace, path)
        else:
            self.backbone.load_adapter(ADAPTER, path)
        self.digest = file_digest(path)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        return answer(self.backbone, questions, self.weights, self.steps, self.guidance)

    def _train(self, corpus: Corpus, workspace: Workspace, path: Path) -> None:
        backbone, options = self.backbone, self.options
        examples = Examples(backbone, corpus, range(len(corpus)), seed=options.seed)
        objective = FlowMatching(self.weights)
        backbone.add_adapter(ADAPTER, options.sft_rank, options.seed)
        recipe = Recipe(
            steps=options.sft_iterations,
            optimiser="prodigy",
            lr=1.0,
            clip=0.5,
            accumulate=options.sft_batch,
        )
        parameters = backbone.adapter_parameters(ADAPTER)
        training = Training(parameters, recipe, workspace.folder / ADAPTER, options.seed)
        training.run(
            lambda index, generator: objective(backbone, examples.batch(index, 1), generator),
            workspace.log,
            workspace.progress,
            "train sft",
        )
        backbone.save_adapter(ADAPTER, path)
