"""What a training sees: encoded batches of examples in a seeded endless order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from bench.identity import seed_of
from bench.methods.backbones.backbone import Backbone, Condition, Generators, Text
from bench.methods.corpora import Corpus, Triplet
from bench.methods.sampling import to_tensor

Opener = Callable[[], Image.Image]


@dataclass(frozen=True)
class Example:
    """A triplet of the corpus by its index, and what it is trained on.

    ``positive``: None for the triplet's own target; ``negative``: None where there is none.
    """

    index: int
    positive: Opener | None = None
    negative: Opener | None = None


@dataclass(frozen=True)
class Batch:
    """Encoded examples: a condition and latents of targets; negatives for comparative methods."""

    condition: Condition
    positives: Tensor
    negatives: Tensor | None = None


@dataclass(frozen=True)
class Dropout:
    """How often an example loses its prompt, and its reference (to black), independently."""

    text: float = 0.0
    image: float = 0.0


NO_DROPOUT = Dropout()


class Encoding(Protocol):
    """Examples to tensors, one generator per example where latents are sampled."""

    def text(self, examples: Sequence[Example], dropped: Sequence[bool]) -> Text: ...
    def references(
        self, examples: Sequence[Example], dropped: Sequence[bool], generators: Generators
    ) -> Tensor: ...
    def positives(self, examples: Sequence[Example], generators: Generators) -> Tensor: ...
    def negatives(self, examples: Sequence[Example], generators: Generators) -> Tensor: ...


class OnDemand:
    """Encodes an example whenever it is asked for, and keeps nothing but a few open triplets.

    Each alone, so that its code does not depend on what is beside it.
    """

    def __init__(self, backbone: Backbone, corpus: Corpus) -> None:
        self.backbone, self.size = backbone, backbone.spec.resolution
        self._triplet = lru_cache(64)(lambda index: corpus[index])

    def triplet(self, example: Example) -> Triplet:
        triplet: Triplet = self._triplet(example.index)
        return triplet

    def text(self, examples: Sequence[Example], dropped: Sequence[bool]) -> Text:
        prompts = [self.triplet(example).prompt for example in examples]
        kept = ["" if drop else prompt for prompt, drop in zip(prompts, dropped, strict=True)]
        alone = [self.backbone.encode_prompts([prompt]) for prompt in kept]
        tokens, pooled = ([text.tokens for text in alone], [text.pooled for text in alone])
        return Text(torch.cat(tokens), torch.cat(pooled))

    def references(
        self, examples: Sequence[Example], dropped: Sequence[bool], generators: Generators
    ) -> Tensor:
        images = [self.triplet(example).reference for example in examples]
        black = Image.new("RGB", (self.size, self.size))
        kept = [black if drop else image for image, drop in zip(images, dropped, strict=True)]
        return self._each(self.backbone.encode_references, kept, generators)

    def positives(self, examples: Sequence[Example], generators: Generators) -> Tensor:
        images = [
            example.positive() if example.positive else self.triplet(example).target
            for example in examples
        ]
        return self._each(self.backbone.encode_images, images, generators)

    def negatives(self, examples: Sequence[Example], generators: Generators) -> Tensor:
        images = [example.negative() for example in examples if example.negative]
        return self._each(self.backbone.encode_images, images, generators)

    def _each(
        self,
        encode: Callable[[Tensor, Generators], Tensor],
        images: Sequence[Image.Image],
        generators: Generators,
    ) -> Tensor:
        return torch.cat(
            [
                encode(to_tensor([image], self.size), [generator])
                for image, generator in zip(images, generators, strict=True)
            ]
        )


class Examples:
    """Batches of examples: every one once before any comes again."""

    def __init__(
        self,
        encoding: Encoding,
        examples: Sequence[Example],
        seed: int = 0,
        dropout: Dropout = NO_DROPOUT,
    ) -> None:
        self.encoding, self.examples = encoding, list(examples)
        self.seed, self.dropout = seed, dropout

    def batch(self, number: int, size: int) -> Batch:
        """Batch ``number``; it follows from the number and the seed alone."""
        chosen = [self.examples[self._position(number * size + i)] for i in range(size)]
        encoding = self.encoding
        text = encoding.text(chosen, self._drops("text", number, size))
        reference = encoding.references(
            chosen, self._drops("image", number, size), self._generators("reference", number, size)
        )
        positives = encoding.positives(chosen, self._generators("target", number, size))
        negatives = None
        if chosen[0].negative:
            negatives = encoding.negatives(chosen, self._generators("negative", number, size))
        return Batch(Condition(text, reference), positives, negatives)

    def _position(self, count: int) -> int:
        epoch, place = divmod(count, len(self.examples))
        return self._order(epoch)[place]

    @lru_cache(2)  # noqa: B019 - an instance lives as long as its training
    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        order: list[int] = torch.randperm(len(self.examples), generator=generator).tolist()
        return order

    def _drops(self, what: str, number: int, size: int) -> list[bool]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, "drop", what, number))
        chance = self.dropout.text if what == "text" else self.dropout.image
        dropped: list[bool] = (torch.rand(size, generator=generator) < chance).tolist()
        return dropped

    def _generators(self, what: str, number: int, size: int) -> list[torch.Generator]:
        return [
            torch.Generator().manual_seed(seed_of(self.seed, what, number, i)) for i in range(size)
        ]


def choose(size: int, count: int, seed: int) -> list[int]:
    """Random indices below ``size``, all different; fewer are the beginning of more."""
    generator = torch.Generator().manual_seed(seed)
    chosen: list[int] = torch.randperm(size, generator=generator)[:count].tolist()
    return chosen
