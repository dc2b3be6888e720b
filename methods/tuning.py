"""What comparative methods share: one more adapter beside SFT-base, trained on examples.

They differ in where examples come from (``source`` and ``chosen``) and in the objective alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

from PIL.Image import Image
from pydantic import Field

from bench.api import Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.errors import UserError
from bench.identity import Json
from bench.methods.backbones.backbone import Backbone, Precision, Tokens, Weights
from bench.methods.budgets import sft_budget, tuning_budget
from bench.methods.choice import Difficulty, by_difficulty
from bench.methods.comparative import Comparison, FlowMatching
from bench.methods.corpora import load_corpus
from bench.methods.encoded import encoded
from bench.methods.examples import Dropout, Example, Examples, choose
from bench.methods.loop import Recipe, Training
from bench.methods.objectives import Convention, Timesteps
from bench.methods.pair_folder import PairFolder, Sampler, make_pairs
from bench.methods.pairs import PairSource
from bench.methods.pairs_there import pairs_there
from bench.methods.sampling import answer
from bench.methods.sft_base import MINI_SFT, SftBase, SftOptions, kept_sft
from bench.methods.similarity import Similarity, similarities
from bench.processes import processes

CLIP = 0.5
"""Norm that gradients are clipped to, as OminiControl trains."""


class TuningOptions(SftOptions):
    """The SFO paper's settings; what a backbone changes stands in a method's ``overrides``."""

    rank: int = Field(16, gt=0, description="rank of the trained LoRA (alpha is the same)")
    iterations: int = Field(300, gt=0, description="optimiser steps")
    batch: int = Field(16, gt=0, description="examples per step (4 on each of 4 GPUs)")
    micro_batch: int = Field(1, gt=0, description="examples per forward pass; divides batch")
    optimiser: Literal["prodigy", "adamw"] = Field("prodigy", description="Prodigy as published")
    lr: float = Field(1.0, gt=0, description="Prodigy's factor, or AdamW's rate")
    d0: float = Field(1e-6, gt=0, description="Prodigy's first estimate")
    timesteps: Literal["logit-normal", "uniform"] = Field("logit-normal", description="p(t)")
    t_mean: float = Field(0.0, description="mean of logit(t)")
    t_std: float = Field(1.0, gt=0, description="standard deviation of logit(t)")
    corpus: str | None = Field(
        None, description="where triplets come from; default: the backbone's"
    )
    tokens: Tokens = Field("reference", description="reference: its tokens alone; image: all")
    precision: Precision = Field("fp32", description="what the trained LoRA is kept in")
    negatives: int = Field(5000, gt=0, description="examples, drawn from the corpus at random")
    tune_drop_text: float = Field(0.0, ge=0, le=1, description="share of prompts dropped")
    tune_drop_image: float = Field(0.0, ge=0, le=1, description="share of references blackened")


class PairOptions(TuningOptions):
    """What is compared, and how strongly."""

    beta: float = Field(1000.0, gt=0, description="strength, on mean squared errors")
    convention: Convention = Field("sfo", description="diffusion-dpo: a factor 1/2 before beta")
    difficulty: Difficulty = Field(
        "all", description="tercile of the similarity of positive and negative that is trained on"
    )
    pool: int | None = Field(
        None, gt=0, description="pairs drawn, of which `negatives` are used; default: as many"
    )
    judge: str | None = Field(
        None, description="encoder of that similarity; default: the backbone's"
    )


MINI: Mapping[str, Any] = {
    **MINI_SFT["mini"],
    "batch": 4,
    "micro_batch": 4,
    "negatives": 400,
    "optimiser": "adamw",
    "lr": 3e-5,
    "tokens": "image",
}
"""What the mini backbone changes for every method of the family."""
SDXL = ("sdxl", "sdxl-ip-adapter-vit-h", "sdxl-ip-adapter-plus")
OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "mini": MINI,
    "flux-dev": {"corpus": "subjects200k-2"},
    "flux-schnell": {"corpus": "subjects200k-2"},
    **{name: {"corpus": "subjects200k-2", "tokens": "image"} for name in SDXL},
}


class Tuned:
    """SFT-base plus an adapter of its own. A subclass says what it is trained on."""

    name: str
    revision: int = 1
    scope: Scope = "corpus"
    Options: ClassVar[Any] = TuningOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = OVERRIDES
    kept_sft = staticmethod(kept_sft)

    def __init__(self, backbone: Backbone, options: Any) -> None:
        self.backbone, self.options = backbone, options
        if options.batch % options.micro_batch:
            raise UserError(
                f"The option micro_batch={options.micro_batch} of {self.name} does not divide "
                f"batch={options.batch}; give a divisor."
            )
        self.base = SftBase(backbone, options)
        self.corpus_name = options.corpus or backbone.spec.corpus
        self.corpus = load_corpus(self.corpus_name)
        self.inputs = {**self.base.inputs, "corpus_identity": self.corpus.identity}
        self.weights: Weights = {**self.base.weights, self.name: 1.0}

    def train(self, workspace: Workspace) -> None:
        """Make what is trained on, then train; both resume, and a finished adapter is loaded."""
        self.base.train(workspace)
        path = workspace.folder / f"{self.name}.safetensors"
        options = self.options
        if path.is_file():
            self.backbone.load_adapter(self.name, path, options.tokens, options.precision)
            return
        examples = self.examples(workspace)
        self.add_adapter()
        self._fit(examples, workspace)
        processes().once(lambda: self.backbone.save_adapter(self.name, path))

    @classmethod
    def budget(cls, options: Any, facts: Facts, extent: Extent) -> Budget | None:
        """What both trainings and the pairs take; None where a subclass trains in its own way."""
        if cls._fit is not Tuned._fit:
            return None
        return sft_budget(options, facts) + tuning_budget(options, cls.draws(options))

    @classmethod
    def draws(cls, options: Any) -> int:
        """Candidates drawn for each triplet."""
        return 0

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        steps, guidance, guide = self.base.steps, self.base.guidance, self.options.guide
        return answer(self.backbone, questions, self.weights, steps, guidance, guide)

    def add_adapter(self) -> None:
        """A fresh one: before the first step the method is SFT-base."""
        options = self.options
        self.backbone.add_adapter(
            self.name, options.rank, options.seed, options.tokens, options.precision
        )

    def examples(self, workspace: Workspace) -> list[Example]:
        """What is trained on; without pairs, triplets as they are."""
        return [Example(index) for index in self.indices(self.options.negatives)]

    def objective(self) -> FlowMatching | Comparison:
        """Without pairs, plain supervised training."""
        return FlowMatching(self.weights, self.timesteps)

    @property
    def timesteps(self) -> Timesteps:
        options = self.options
        return Timesteps(options.timesteps, options.t_mean, options.t_std)

    def indices(self, count: int) -> list[int]:
        """A random choice from the corpus; a smaller one is the beginning of a larger one."""
        return choose(len(self.corpus), count, self.options.seed)

    def _fit(self, examples: Sequence[Example], workspace: Workspace) -> None:
        options, backbone = self.options, self.backbone
        objective = self.objective()
        dropout = Dropout(options.tune_drop_text, options.tune_drop_image)
        training = Training(
            backbone.adapter_parameters(self.name),
            self.recipe(),
            workspace.folder / self.name,
            options.seed,
        )
        seen = options.iterations * options.batch
        with encoded(backbone, self.corpus, examples, seen, workspace) as encoding:
            batches = Examples(encoding, examples, options.seed, dropout)
            training.run(
                lambda index, generator: objective(
                    backbone, batches.batch(index, options.micro_batch), generator
                ),
                workspace.log,
                workspace.progress,
                f"train {self.name}",
            )

    def recipe(self) -> Recipe:
        options = self.options
        return Recipe(
            steps=options.iterations,
            optimiser=options.optimiser,
            lr=options.lr,
            d0=options.d0,
            clip=CLIP,
            accumulate=options.batch // options.micro_batch,
        )


class Compared(Tuned, ABC):
    """A method that prefers one image of a pair to the other. A subclass names the source."""

    Options: ClassVar[Any] = PairOptions

    @classmethod
    def draws(cls, options: Any) -> int:
        return cls.source(SimpleNamespace(options=options)).draws  # type: ignore[arg-type]

    @classmethod
    def pairs_kept(cls, options: Any, backbone: str, cache: Path) -> bool:
        """Whether its pairs are in the cache, as far as that can be told without weights."""
        return pairs_there(cls.pairs_source(options), options, backbone, cache)

    @classmethod
    def pairs_source(cls, options: Any) -> Json:
        """What its pairs follow from, the corpus and the sampler aside."""
        return cls.source(SimpleNamespace(options=options)).specification()  # type: ignore[arg-type]

    @abstractmethod
    def source(self) -> PairSource:
        """It follows from the options alone."""

    def chosen(self, pairs: PairFolder, workspace: Workspace) -> list[Example]:
        """The triplet's target over its candidate."""
        options = self.options
        indices = pairs.indices
        if options.difficulty != "all":
            measured = self.similarities(pairs, workspace)
            indices = by_difficulty(measured, options.difficulty, options.negatives)
        return [
            Example(index, negative=pairs.opener(index, 0))
            for index in indices[: options.negatives]
        ]

    def similarities(self, pairs: PairFolder, workspace: Workspace) -> list[Similarity]:
        judge = self.options.judge or self.backbone.spec.judge
        return similarities(pairs, self.corpus, judge, workspace)

    def examples(self, workspace: Workspace) -> list[Example]:
        base, options = self.base, self.options
        sampler = Sampler(
            base.weights, base.digest, base.steps, base.guidance, self.backbone.spec.batch
        )
        wanted = self.indices(options.pool or options.negatives)
        pairs = make_pairs(
            self.backbone,
            self.corpus,
            self.corpus_name,
            wanted,
            self.source(),
            sampler,
            workspace,
        )
        return self.chosen(pairs, workspace)

    def objective(self) -> Comparison:
        options = self.options
        return Comparison(
            self.base.weights, self.weights, options.beta, self.timesteps, options.convention
        )
