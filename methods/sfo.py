"""SFO: subject fidelity optimisation, a LoRA beside the frozen SFT LoRA that learns from pairs.

The positive is the true target, the negative what SFT-base draws from a degraded condition.
Source: "Subject Fidelity Optimization" (arXiv 2506.03621), Sec. 4, Eq. 3, Fig. C.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from PIL.Image import Image
from pydantic import Field

from bench.api import Question, Scope, Workspace
from bench.errors import UserError
from bench.methods.backbones.backbone import Tokens
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import Comparison, Examples
from bench.methods.corpora import load_corpus
from bench.methods.loop import Recipe, Training
from bench.methods.pairs import Cdns, Sampler, make_negatives
from bench.methods.sampling import answer
from bench.methods.sft_base import ADAPTER as SFT
from bench.methods.sft_base import SftBase, SftOptions

ADAPTER = "sfo"


class SfoOptions(SftOptions):
    """The paper's settings; what a backbone changes stands in ``Sfo.overrides``."""

    rank: int = Field(16, gt=0, description="rank of the SFO LoRA (alpha is the same)")
    beta: float = Field(1000.0, gt=0, description="strength, on mean squared errors")
    iterations: int = Field(300, gt=0, description="optimiser steps")
    batch: int = Field(16, gt=0, description="pairs per step (4 on each of 4 GPUs)")
    micro_batch: int = Field(1, gt=0, description="pairs per forward pass; divides batch")
    optimiser: Literal["prodigy", "adamw"] = Field("prodigy", description="Prodigy as published")
    lr: float = Field(1.0, gt=0, description="Prodigy's factor, or AdamW's rate")
    d0: float = Field(1e-6, gt=0, description="Prodigy's first estimate")
    corpus: str | None = Field(None, description="where pairs come from; default: the backbone's")
    tokens: Tokens = Field("reference", description="reference: its tokens alone; image: all")
    negatives: int = Field(5000, gt=0, description="size of the pool of negatives")
    blur: float = Field(5.0, ge=0, description="Gaussian radius at 512 px of CDNS's reference")
    generic: str = Field("a photo of {item}", description="CDNS's prompt")


class Sfo:
    """SFT-base plus an adapter that prefers the true subject to a degraded one."""

    name = "sfo"
    revision = 1
    scope: Scope = "corpus"
    Options: ClassVar = SfoOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mini": {
            "batch": 4,
            "micro_batch": 4,
            "negatives": 400,
            "optimiser": "adamw",
            "lr": 3e-5,
            "tokens": "image",
        },
        "flux-dev": {"corpus": "subjects200k-2"},
    }

    def __init__(self, backbone: FluxBackbone, options: SfoOptions) -> None:
        self.backbone, self.options = backbone, options
        if options.batch % options.micro_batch:
            raise UserError(
                f"The option micro_batch={options.micro_batch} of sfo does not divide "
                f"batch={options.batch}; give a divisor."
            )
        self.base = SftBase(backbone, options)
        self.corpus = load_corpus(options.corpus or backbone.spec.corpus)
        self.inputs = {**self.base.inputs, "corpus_identity": self.corpus.identity}
        self.weights = {SFT: 1.0, ADAPTER: 1.0}

    def train(self, workspace: Workspace) -> None:
        """Draw the negatives, then train; both resume, and a finished adapter is loaded."""
        self.base.train(workspace)
        path = workspace.folder / f"{ADAPTER}.safetensors"
        if path.is_file():
            self.backbone.load_adapter(ADAPTER, path, self.options.tokens)
            return
        examples = self._pairs(workspace)
        options = self.options
        self.backbone.add_adapter(ADAPTER, options.rank, options.seed, options.tokens)
        self._train(examples, workspace)
        self.backbone.save_adapter(ADAPTER, path)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        return answer(self.backbone, questions, self.weights, self.base.steps, self.base.guidance)

    def _pairs(self, workspace: Workspace) -> Examples:
        options, corpus = self.options, self.corpus
        generator = torch.Generator().manual_seed(options.seed)
        indices = torch.randperm(len(corpus), generator=generator)[: options.negatives].tolist()
        base = self.base
        sampler = Sampler(
            base.weights, base.digest, base.steps, base.guidance, self.backbone.spec.batch
        )
        source = Cdns(options.blur, options.generic)
        negatives = make_negatives(self.backbone, corpus, indices, source, sampler, workspace)
        return Examples(self.backbone, corpus, indices, negatives, options.seed)

    def _train(self, examples: Examples, workspace: Workspace) -> None:
        options, backbone = self.options, self.backbone
        objective = Comparison(self.base.weights, self.weights, options.beta)
        recipe = Recipe(
            steps=options.iterations,
            optimiser=options.optimiser,
            lr=options.lr,
            d0=options.d0,
            clip=0.5,
            accumulate=options.batch // options.micro_batch,
        )
        parameters = backbone.adapter_parameters(ADAPTER)
        training = Training(parameters, recipe, workspace.folder / ADAPTER, options.seed)
        training.run(
            lambda index, generator: objective(
                backbone, examples.batch(index, options.micro_batch), generator
            ),
            workspace.log,
            workspace.progress,
            "train sfo",
        )
