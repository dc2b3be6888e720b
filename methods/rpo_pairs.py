"""What RPO trains on: a photograph of the subject beside what the backbone made of its class."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from PIL.Image import Image
from torch import Tensor

from bench.identity import seed_of
from bench.methods.backbones.backbone import OFF, Backbone, Condition, Generators, Text, Weights
from bench.methods.objectives import Timesteps, squared_error
from bench.methods.rpo_objective import Loss, loss
from bench.methods.sampling import to_tensor


@dataclass(frozen=True)
class Pair:
    """Two images with the prompts that each is trained under.

    ``chance``: how likely the label says that the photograph is the better one.
    """

    photograph: Image
    generated: Image
    instance: str
    scene: str
    chance: float


@dataclass(frozen=True)
class Batch:
    """Encoded pairs: photographs first, then generated images, each with its own prompt."""

    condition: Condition
    clean: Tensor
    chances: Tensor


class Pairs:
    """Batches of pairs: every one once before any comes again."""

    def __init__(self, backbone: Backbone, pairs: Sequence[Pair], seed: int) -> None:
        self.backbone, self.pairs, self.seed = backbone, list(pairs), seed
        self._text = lru_cache(None)(lambda prompt: backbone.encode_prompts([prompt]))

    def batch(self, number: int, size: int) -> Batch:
        """Batch ``number``; it follows from the number and the seed alone."""
        chosen = [self.pairs[self._position(number * size + i)] for i in range(size)]
        images = [pair.photograph for pair in chosen] + [pair.generated for pair in chosen]
        prompts = [pair.instance for pair in chosen] + [pair.scene for pair in chosen]
        pixels = to_tensor(images, self.backbone.spec.resolution)
        clean = self.backbone.encode_images(pixels, self._generators(number, len(images)))
        chances = torch.tensor([pair.chance for pair in chosen])
        return Batch(Condition(self._texts(prompts), None), clean, chances)

    def _texts(self, prompts: Sequence[str]) -> Text:
        texts = [self._text(prompt) for prompt in prompts]
        return Text(
            torch.cat([text.tokens for text in texts]), torch.cat([text.pooled for text in texts])
        )

    def _position(self, count: int) -> int:
        epoch, place = divmod(count, len(self.pairs))
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        return int(torch.randperm(len(self.pairs), generator=generator)[place])

    def _generators(self, number: int, count: int) -> Generators:
        return [
            torch.Generator().manual_seed(seed_of(self.seed, "pair", number, i))
            for i in range(count)
        ]


def judged(
    backbone: Backbone,
    batch: Batch,
    policy: Weights,
    timesteps: Timesteps,
    beta: float,
    generator: torch.Generator,
) -> Loss:
    """RPO's loss on a batch; its labels, timesteps and noise are drawn from the generator.

    Both images of a pair have one timestep and one noise. The frozen pass is the backbone's own.
    """
    clean, half = batch.clean, len(batch.chances)
    labels = torch.bernoulli(batch.chances, generator=generator).to(clean.device)
    t = timesteps.draw(half, generator).repeat(2).to(clean)
    noise = torch.randn(clean[:half].shape, generator=generator).to(clean)
    noise = torch.cat([noise, noise])
    x, target = backbone.noised(clean, noise, t), backbone.target(clean, noise, t)
    with torch.no_grad():
        frozen = backbone.predict(x, t, batch.condition, OFF)
        before = squared_error(frozen, target).chunk(2)
    trained = backbone.predict(x, t, batch.condition, policy)
    after = squared_error(trained, target).chunk(2)
    return loss((after[0], after[1]), (before[0], before[1]), labels, beta)
