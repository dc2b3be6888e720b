"""Where the negative targets of a comparative method come from. They know no backbone's insides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageFilter

from bench.api import Workspace
from bench.identity import Json, identity, seed_of
from bench.methods.backbones.backbone import Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.corpora import Corpus, Triplet
from bench.methods.sampling import draw
from bench.store import ImageStore, exclusive


class PairSource(Protocol):
    """Makes one negative image for each chosen triplet of a corpus."""

    def specification(self) -> Json: ...
    def condition(self, triplet: Triplet) -> tuple[str, Image.Image]:
        """The prompt and the reference that the negative is drawn from."""
        ...


@dataclass(frozen=True)
class Cdns:
    """Condition-degradation negative sampling: a blurred reference and a generic prompt.

    ``radius`` is PIL's Gaussian radius at 512 pixels; it scales with the resolution. ``text`` may
    name ``{item}`` and ``{prompt}``, the triplet's own prompt: with that alone only the reference
    is degraded.
    Source: SFO (arXiv 2506.03621), Sec. 4.3.
    """

    radius: float = 5.0
    text: str = "a photo of {item}"

    def specification(self) -> Json:
        return {"source": "cdns", "radius": self.radius, "text": self.text}

    def condition(self, triplet: Triplet) -> tuple[str, Image.Image]:
        radius = self.radius * min(triplet.reference.size) / 512
        blurred = triplet.reference.filter(ImageFilter.GaussianBlur(radius))
        text = self.text.replace("{item}", triplet.item).replace("{prompt}", triplet.prompt)
        return text, blurred


@dataclass(frozen=True)
class Sampler:
    """How negatives are drawn: with which adapters, in how many steps, at what guidance."""

    weights: Weights
    adapters_digest: str
    steps: int
    guidance: float
    batch: int


def make_negatives(
    backbone: FluxBackbone,
    corpus: Corpus,
    indices: Sequence[int],
    source: PairSource,
    sampler: Sampler,
    workspace: Workspace,
) -> list[Image.Image]:
    """One negative per index, drawn once, stored under its identity and reused by later runs."""
    key = identity(
        {
            "backbone": backbone.spec.digest,
            "adapters": [dict(sampler.weights), sampler.adapters_digest],
            "corpus": corpus.identity,
            "source": source.specification(),
            "sampling": [sampler.steps, sampler.guidance, sampler.batch],
            "indices": list(indices),
        }
    )
    folder = workspace.cache / "negatives" / key[:16]
    files = [f"{index:06d}.png" for index in indices]
    with exclusive(folder, wait=True):
        store = ImageStore(folder)
        store.verify()
        for start in range(0, len(files), sampler.batch):
            chunk = slice(start, start + sampler.batch)
            if not store.has_all(files[chunk]):
                images = _draw(backbone, corpus, indices[chunk], source, sampler)
                store.put_all(dict(zip(files[chunk], images, strict=True)))
            workspace.progress("negatives", len(files[: chunk.stop]), len(files))
    workspace.log({"event": "negatives", "folder": folder.name, "n": len(files)})
    return [store.open(file) for file in files]


def _draw(
    backbone: FluxBackbone,
    corpus: Corpus,
    indices: Sequence[int],
    source: PairSource,
    sampler: Sampler,
) -> list[Image.Image]:
    prompts, references = zip(*(source.condition(corpus[index]) for index in indices), strict=True)
    seeds = [seed_of("negative", index) for index in indices]
    return draw(
        backbone, prompts, references, seeds, sampler.weights, sampler.steps, sampler.guidance
    )
