"""What adapters see: the words of the benchmark as small frozen types and protocols.

Importing this module imports no torch; tensors appear in annotations only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from bench.documents import inside
from bench.identity import identity, seed_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Embeddings = NDArray[np.float32]
    Labels = NDArray[np.str_]
    Pixels = NDArray[Any]

Inside = Annotated[str, AfterValidator(inside)]
"""A path that stays below the folder it is put into."""
Scope = Literal["none", "subject", "corpus"]
Precision = Literal["fp32", "tf32", "fp16", "bf16"]
"""How an encoder multiplies: exactly, or as fast as asked for."""
Region = Literal[
    "whole", "box", "subject", "background", "mini-box", "mini-subject", "mini-background"
]
"""What an encoder sees of an image; those of mini are found without a network."""
Average = Literal["images", "subjects"]
"""What a number is the mean over: images, or subjects of the means over their images."""


class Frozen(BaseModel):
    """A specification: immutable, hashable by content, closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def identity(self) -> str:
        """SHA-256 of the canonical JSON."""
        return identity(self.model_dump(mode="json"))


class Later(Frozen):
    """A specification that grows: ``later`` names fields which came after the first version.

    At their defaults, which mean what was done before there was a choice, they are left out, so
    that identities which were frozen earlier stay what they are.
    """

    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        defaults = {
            name: fields[name].get_default(call_default_factory=True) for name in self.later
        }
        plain: dict[str, Any] = dump(self)
        return {k: v for k, v in plain.items() if k not in defaults or v != defaults[k]}


class Subject(Frozen):
    """A thing to be kept.

    ``references`` are file names inside the subject's directory, in the suite's order.
    """

    directory: Inside
    class_noun: str
    descriptive_name: str
    live: bool
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question. Its noise depends on nothing else: not on batch, rank, order or machine."""

    suite: str
    subject: str
    prompt_index: int
    prompt: str
    """The text given to the method, the subject's name filled in."""
    name: str
    """The subject's name inside the prompt."""
    reference: str
    """File name of the input reference; empty for a suite without images."""
    seed: int
    text: str | None = None
    """What metrics of text read, where that is not the prompt."""

    @property
    def noise_seed(self) -> int:
        """Seed of this case's own generator."""
        return seed_of(self.suite, self.subject, self.prompt_index, self.seed)

    @property
    def file(self) -> str:
        """Where the image lies inside a run's ``images/``."""
        return f"{self.subject}/{self.prompt_index:02d}-{self.seed}.png"


@dataclass(frozen=True)
class Question:
    """A case with the images that belong to it opened, RGB, as a method receives it."""

    case: Case
    photograph: Image | None
    """The one that the protocol gives as input; None where the suite has none."""
    source: Image | None = None
    """The image to be edited; None where the suite asks for none."""

    @property
    def reference(self) -> Image:
        """The photograph that is given. ValueError where there is none."""
        if self.photograph is None:
            raise ValueError(f"{self.case.file} comes without a photograph")
        return self.photograph


class Progress(Protocol):
    """Told how far long work has come; draws a bar on a terminal, keeps quiet elsewhere.

    ``total`` is 0 where it is not known.
    """

    def __call__(self, title: str, done: int, total: int) -> None: ...


def silent(title: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Workspace:
    """Where a training may write.

    ``folder``: this run's checkpoints; ``cache``: things other runs may reuse, keyed by identity;
    ``log``: one JSON-able mapping per event.
    """

    folder: Path
    cache: Path
    log: Callable[[Mapping[str, Any]], None]
    progress: Progress = silent


@dataclass(frozen=True)
class Card:
    """What is known of a method beside its code.

    ``stated``: option or part of the method to what its source says; ``choices``: what the source
    leaves open to what is done here and why; ``notes``: slips of the source and the like.
    """

    source: str
    stated: Mapping[str, str]
    choices: Mapping[str, str]
    notes: str = ""


class Method(Protocol):
    """An adapter: how one method is trained and how it draws.

    A registered factory has a class attribute ``Options``, a ``Frozen`` model whose field
    defaults and descriptions are the documentation, and is called as
    ``Factory(backbone, options)``. ``bench.methods.sfo`` is one. A class whose attribute
    ``needs_backbone`` is False draws without a backbone and need not look at what it is given for
    one. One that answers with the subject's own photographs names them, ``shown(case)``: none is
    held against itself. One whose ``edits`` is True answers with its question's ``source``,
    changed, and is run on suites of edits and on no others; one whose ``needs_references`` is
    False draws from text alone, and is also run on suites without photographs.
    """

    name: str
    revision: int
    """Raised whenever the method's images change for the same options."""
    scope: Scope
    inputs: Mapping[str, str]
    """Digests of files and corpora, a file's under the name of the option that points to it: part
    of the identity of every image."""

    def train(self, workspace: Workspace) -> None:
        """Train, resume a training, or load what an earlier one left. Called before generate."""

    def generate(self, questions: Sequence[Question]) -> list[Image]:
        """One RGB image per question, each from its own noise generator."""
        ...


@dataclass(frozen=True)
class Material:
    """What a method of scope ``subject`` may train on.

    ``photographs``: every reference of the subject, RGB, in the suite's order; ``given``: the one
    that the protocol gives as input; ``name``: what prompts call the subject.
    """

    subject: Subject
    name: str
    photographs: Mapping[str, Image]
    given: str


class SubjectMethod(Method, Protocol):
    """A method whose ``scope`` is ``subject``: one training per subject, none touching another's.

    ``train`` is called once, before any subject, and may prepare what all of them share.
    """

    def train_subject(self, material: Material, workspace: Workspace) -> None:
        """Train, resume or load one subject's weights, which replace the last one's.

        ``workspace.folder`` is this subject's own. Questions about other subjects than the last
        one trained are never asked.
        """
        ...


class Encoder(Protocol):
    """Model, weights, preprocessing and precision under one name.

    A registered factory is called as ``factory(precision=...)`` and builds no network before
    something is to be encoded: a warm cache needs none.
    """

    name: str
    digest: str
    """SHA-256 of the weights; part of the identity of every number made with them."""
    precision: Precision
    recipe: str
    """Identity of all that its features follow from: the cache key."""

    def prepare(self, image: Image) -> Pixels:
        """What the network is shown of an RGB image, (H, W, 3); several threads call this."""
        ...

    def encode_images(self, prepared: Sequence[Pixels]) -> Embeddings:
        """(N, D) float32 features as the network gives them, of no particular length."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """(N, D) float32 features; UserError for encoders without a text tower."""
        ...


class Comparer(Protocol):
    """A distance between two images that is more than one of embeddings, such as LPIPS.

    Registered among the encoders and made in the same way.
    """

    name: str
    digest: str
    precision: Precision
    recipe: str

    def distances(self, pairs: Sequence[tuple[Image, Image]]) -> list[float]:
        """One number per pair of RGB images, both of one size. ValueError for unequal sizes."""
        ...


class Cutter(Protocol):
    """Where the subject is in an image, and what of the image is shown accordingly.

    Registered under the region's name; ``factory()`` builds no network before one is needed.
    """

    recipe: str
    """Identity of all that is shown follows from, images and nouns aside."""
    findings: str
    """Identity of all that ``find`` follows from; regions that look alike share it."""

    def find(self, images: Sequence[Image], nouns: Sequence[str]) -> list[NDArray[Any]]:
        """What is to be remembered of each RGB image, in which its own noun is looked for."""
        ...

    def found(self, finding: NDArray[Any]) -> bool:
        """Whether the subject was found; else the whole image is shown."""
        ...

    def show(self, image: Image, finding: NDArray[Any]) -> Image: ...

    def show_pair(
        self, image: Image, finding: NDArray[Any], other: Image, other_finding: NDArray[Any]
    ) -> tuple[Image, Image]:
        """Both images as they are compared, at the size of the first."""
        ...


@dataclass(frozen=True)
class Scored:
    """What a metric may look at for one generated image: features, of no particular length."""

    image: Embeddings
    """(D,)"""
    references: Embeddings
    """(R, D) the references that the protocol counts."""
    gallery: Embeddings
    """(G, D) every reference of the subject."""
    text: Embeddings | None
    """(D,) what the metric's ``text`` made of the prompt."""
    found: bool | None = None
    """Whether the subject was found, where the protocol looks at a region of the image."""


class Metric(Protocol):
    """What every metric says of itself, whatever it looks at.

    A registered factory is called as ``factory(encoder)``, or without one where nothing is to be
    encoded. A metric of a region says so by a class attribute ``region``.
    """

    name: str
    version: int
    kind: Literal["image", "pair", "set"]
    higher_is_better: bool
    unit: str
    encoder: str
    """The encoder it uses where nobody names another."""


class ImageMetric(Metric, Protocol):
    """Embeddings to one number per image."""

    def text(self, prompt: str) -> str | None:
        """What is embedded of a prompt; None for metrics that read none."""
        ...

    def score(self, item: Scored) -> float: ...


class PairMetric(Metric, Protocol):
    """Distances to other images, averaged to one number per image; ``encoder`` is a Comparer."""

    others: Literal["references", "siblings"]
    """The references that count, or the images of the same subject and prompt."""


class SetMetric(Metric, Protocol):
    """Two sets of embeddings to one number."""

    bias: str
    """How the number of images moves it, in a few words that stand beside it."""

    def score(self, generated: Embeddings, real: Embeddings) -> float:
        """The number for (N, D) against (M, D). ValueError when there are too few rows."""
        ...

    def leave_out(
        self, generated: Embeddings, real: Embeddings, groups: Labels, real_groups: Labels
    ) -> dict[str, float]:
        """The number without each group of ``groups`` in turn, left out of both sets.

        ``groups`` (N,) and ``real_groups`` (M,) name every row's group.
        """
        ...


WHOLE_SET = "*"
"""In a row's place of the subject: the number is about all images of the run."""


class Row(Frozen):
    """One number about one image, or about all images of a run.

    A metric of a set has a row for ``WHOLE_SET`` and one for every subject, which is the number
    without that subject; their prompt is empty and prompt index and seed are -1, and the digest is
    the identity of the images' digests.
    """

    subject: str
    prompt_index: int
    prompt: str
    seed: int
    metric: str
    value: float
    image_sha256: str


def rows_identity(rows: Iterable[Row]) -> str:
    """Identity of a set of rows, whatever their order."""
    return identity(sorted(row.identity for row in rows))
