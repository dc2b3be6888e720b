"""What corpus-wide methods train on: triplets of (reference, prompt, target)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from bench.errors import unknown


@dataclass(frozen=True)
class Triplet:
    """The subject alone, a prompt, and the same subject as the prompt says.

    ``item`` names the subject in a generic prompt ("a photo of {item}"); ``hallucinated`` is a
    prompt that is wrong about the subject, where the corpus brings one.
    """

    reference: Image.Image
    target: Image.Image
    prompt: str
    item: str
    hallucinated: str | None = None


class Corpus(Protocol):
    """An indexed set of triplets; ``identity`` changes whenever a triplet does."""

    identity: str

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Triplet: ...


def load_corpus(name: str) -> Corpus:
    """A corpus by name. UserError for unknown names and for data that is not there."""
    if name == "mini-world":
        from bench.methods.mini_corpus import MiniWorld

        return MiniWorld()
    if name in ("subjects200k", "subjects200k-2"):
        from bench.methods.subjects200k import Subjects200K

        return Subjects200K.from_home(name)
    raise unknown("corpus", name, CORPORA)


CORPORA: Sequence[str] = ("mini-world", "subjects200k", "subjects200k-2")
