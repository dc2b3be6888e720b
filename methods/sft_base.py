"""SFT-base: the supervised subject-driven model that comparative methods start from.

OminiControl's subject LoRA (arXiv 2411.15098): reference tokens at timestep 0 beside the image,
the adapter acts on them alone. Trained by flow matching on triplets.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

from PIL.Image import Image
from pydantic import Field, field_validator, model_validator

from bench.api import Later, Question, Scope, Workspace
from bench.cost import Budget, Extent, Facts
from bench.errors import UserError
from bench.identity import file_digest, identity
from bench.methods import cards
from bench.methods.backbones.backbone import OFF, Backbone, Rule, Weights, demand_backbone
from bench.methods.backbones.flux import Conditioning, FluxBackbone, Position
from bench.methods.budgets import passes, sft_budget
from bench.methods.comparative import FlowMatching
from bench.methods.corpora import Corpus, load_corpus
from bench.methods.encoded import encoded
from bench.methods.examples import Dropout, Example, Examples
from bench.methods.guidance import parse
from bench.methods.loop import Recipe, Training
from bench.methods.sampling import answer
from bench.processes import processes
from bench.stamp import code_of
from bench.trainings import Training as Kept

ADAPTER = "sft"
OWN_GUIDANCE = "backbone"
MINI_SFT: Mapping[str, Mapping[str, Any]] = {
    "mini": {"sft_iterations": 600, "sft_batch": 16, "sft_micro_batch": 16}
}
"""How the mini backbone's SFT LoRA is trained where it is trained anew."""


class SamplingOptions(Later):
    """How images are drawn."""

    steps: int | None = Field(None, gt=0, description="sampling steps; default: the backbone's")
    guidance: float | None = Field(
        None, gt=0, description="distilled guidance; default: the backbone's"
    )


class GuidedOptions(SamplingOptions):
    """How images are drawn by a backbone that can be asked several times at every step."""

    later = frozenset({"rule"})
    drawing: ClassVar[frozenset[str]] = frozenset({"rule"})
    """What no training depends on."""

    rule: str = Field(
        OWN_GUIDANCE,
        description="guidance, as in cfg:7.5 or pg:scale=7.5,omega=0.6; backbone: its own",
    )

    @field_validator("rule")
    @classmethod
    def _spelt_out(cls, text: str) -> str:
        """Equal rules are equal texts, and have one identity."""
        return text if text == OWN_GUIDANCE else str(parse(text))

    @property
    def guide(self) -> Rule | None:
        """None for the backbone's own."""
        return None if self.rule == OWN_GUIDANCE else parse(self.rule)

    @property
    def passes(self) -> int:
        """What is asked of the network for an image at a step; 1 where the backbone guides."""
        return 1 if self.guide is None else passes(self.guide)

    @property
    def plain(self) -> bool:
        """Whether its guidance asks for prompts without the subject."""
        return self.guide is not None and self.guide.plain

    @property
    def word(self) -> str:
        """What stands for the subject in prompts and for nothing else; empty where nothing does."""
        return ""

    @model_validator(mode="after")
    def _can_be_plain(self) -> Self:
        if self.plain and not self.word:
            raise UserError(
                f"The guidance {self.rule.partition(':')[0]} asks for prompts without the "
                "subject's own word, and here they have none; choose another guidance, a method "
                "that learns a word (dreambooth-ti, textual-inversion, classdiffusion), or set a "
                "token."
            )
        return self


class SftOptions(GuidedOptions):
    """Where the SFT adapter comes from: a file, the backbone's own, or a training."""

    later = GuidedOptions.later | {"position", "independent", "cache"}

    adapter: Path | None = Field(
        None, description="safetensors of an SFT LoRA; default: the backbone's own, else train one"
    )
    sft_rank: int = Field(4, gt=0, description="rank of an SFT LoRA trained here")
    retrain: bool = Field(False, description="train one even where the backbone has its own")
    sft_iterations: int = Field(15_000, gt=0, description="its optimiser steps")
    sft_batch: int = Field(8, gt=0, description="triplets per step")
    sft_micro_batch: int = Field(
        1, gt=0, description="triplets per forward pass; divides sft_batch"
    )
    drop_text: float = Field(0.1, ge=0, le=1, description="share of prompts dropped from SFT")
    drop_image: float = Field(0.1, ge=0, le=1, description="share of references blackened in SFT")
    seed: int = Field(0, ge=0, description="seed of trainings")
    position: Position = Field(
        "left", description="side of the image the reference stands on; released ones want right"
    )
    independent: bool = Field(False, description="the reference attends to itself alone")
    cache: bool = Field(False, description="compute an independent reference's keys once")


FOLLOWED = (
    "sft_rank",
    "sft_iterations",
    "sft_batch",
    "sft_micro_batch",
    "drop_text",
    "drop_image",
    "seed",
    "position",
    "independent",
)
"""Options that an SFT training follows from."""


def kept_sft(options: SftOptions, backbone: str, corpus: str, cache: Path) -> Kept:
    """Where runs share an SFT training; ``backbone`` and ``corpus`` are digests."""
    followed = {name: getattr(options, name) for name in FOLLOWED}
    made_of = {"backbone": backbone, "corpus": corpus, "code": code_of(kept_sft)}
    return Kept(cache / "sft" / identity({**followed, **made_of}))


class SftBase:
    """The SFT model as a method of its own.

    On a backbone that sees references without any adapter it is the backbone itself.
    """

    name = "sft-base"
    card = cards.SFT
    revision = 1
    scope: Scope = "corpus"
    Options: ClassVar = SftOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = MINI_SFT
    kept_sft = staticmethod(kept_sft)

    def __init__(self, backbone: Backbone, options: SftOptions) -> None:
        demand_backbone(backbone, self.name, "flux-dev, sdxl or mini")
        self.backbone, self.options = backbone, options
        self._condition()
        self.steps = options.steps or backbone.spec.steps
        self.guidance = options.guidance or backbone.spec.guidance or 1.0
        self.weights: Weights = OFF if backbone.spec.sees_references else {ADAPTER: 1.0}
        self.adapter = self._given()
        trained_here = self.weights and not self.adapter
        self.corpus = load_corpus(backbone.spec.corpus) if trained_here else None
        self.inputs: dict[str, str] = {}
        if self.adapter:
            self.inputs["adapter"] = file_digest(self.adapter)
        if self.corpus:
            self.inputs["sft_corpus_identity"] = self.corpus.identity

    def train(self, workspace: Workspace) -> None:
        """Load the adapter; where none is given, train it, or take what another run has trained."""
        if not self.weights:
            self.digest = self.backbone.spec.digest
            return
        own = workspace.folder / ADAPTER
        self.path = self.adapter or own / f"{ADAPTER}.safetensors"
        with processes().led(self._shared(own, workspace)):
            if self.corpus and not self.path.is_file():
                self._train(self.corpus, workspace, self.path)
            else:
                self.backbone.load_adapter(ADAPTER, self.path)
        self.digest = file_digest(self.path)

    @classmethod
    def budget(cls, options: SftOptions, facts: Facts, extent: Extent) -> Budget:
        """What its training takes on a backbone of which these facts are known."""
        return sft_budget(options, facts)

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        guide = self.options.guide
        return answer(self.backbone, questions, self.weights, self.steps, self.guidance, guide)

    def _condition(self) -> None:
        """How references are seen, where that is not as the backbone was loaded."""
        options, backbone = self.options, self.backbone
        wanted = Conditioning(options.position, options.independent, options.cache)
        if wanted == Conditioning():
            return
        if not isinstance(backbone, FluxBackbone):
            raise UserError(
                f"The options position, independent and cache are FLUX's, and {backbone.spec.name} "
                "is none; leave them out."
            )
        backbone.conditioning = wanted

    def _given(self) -> Path | None:
        options, spec = self.options, self.backbone.spec
        if not self.weights and (options.adapter or options.retrain):
            raise UserError(
                f"The backbone {spec.name} sees references without an SFT LoRA: leave out the "
                "options 'adapter' and 'retrain'."
            )
        adapter = options.adapter or (None if options.retrain else spec.sft)
        if adapter and not adapter.is_file():
            raise UserError(f"There is no adapter at {adapter}; check the option 'adapter'.")
        return adapter

    def _shared(self, own: Path, workspace: Workspace) -> AbstractContextManager[None]:
        """With all runs that would train the very same."""
        if not self.corpus:
            return nullcontext()
        backbone, corpus = self.backbone.spec.digest, self.corpus.identity
        kept = kept_sft(self.options, backbone, corpus, workspace.cache)
        return kept.shared(own, workspace.progress)

    def _train(self, corpus: Corpus, workspace: Workspace, path: Path) -> None:
        backbone, options = self.backbone, self.options
        examples = [Example(index) for index in range(len(corpus))]
        dropout = Dropout(options.drop_text, options.drop_image)
        objective = FlowMatching(self.weights)
        backbone.add_adapter(ADAPTER, options.sft_rank, options.seed)
        recipe = Recipe(
            steps=options.sft_iterations,
            optimiser="prodigy",
            lr=1.0,
            clip=0.5,
            accumulate=options.sft_batch // options.sft_micro_batch,
        )
        parameters = backbone.adapter_parameters(ADAPTER)
        training = Training(parameters, recipe, workspace.folder / ADAPTER, options.seed)
        seen = options.sft_iterations * options.sft_batch
        with encoded(backbone, corpus, examples, seen, workspace) as encoding:
            batches = Examples(encoding, examples, options.seed, dropout)
            training.run(
                lambda index, generator: objective(
                    backbone, batches.batch(index, options.sft_micro_batch), generator
                ),
                workspace.log,
                workspace.progress,
                "train sft",
            )
        processes().once(lambda: backbone.save_adapter(ADAPTER, path))
