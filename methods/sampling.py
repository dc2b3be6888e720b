"""The way from questions to pictures, for every backbone."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.api import Question
from bench.identity import seed_of
from bench.methods.backbones.backbone import Backbone, Condition, Rule, Weights


def draw(
    backbone: Backbone,
    prompts: Sequence[str],
    references: Sequence[Image.Image],
    seeds: Sequence[int],
    weights: Weights,
    steps: int,
    guidance: float,
    rule: Rule | None = None,
) -> list[Image.Image]:
    """One image per prompt and reference; each from the generator of its own seed."""
    own = [torch.Generator().manual_seed(seed_of(seed, "reference")) for seed in seeds]
    reference = backbone.encode_references(to_tensor(references, backbone.spec.resolution), own)
    condition = Condition(backbone.encode_prompts(list(prompts)), reference)
    noise = backbone.noise([torch.Generator().manual_seed(seed) for seed in seeds])
    latents = backbone.sample(condition, noise, weights, steps, guidance, rule)
    return to_images(backbone.decode(latents))


def answer(
    backbone: Backbone,
    questions: Sequence[Question],
    weights: Weights,
    steps: int,
    guidance: float,
    rule: Rule | None = None,
) -> list[Image.Image]:
    """``draw`` for the questions of a benchmark."""
    return draw(
        backbone,
        [question.case.prompt for question in questions],
        [question.reference for question in questions],
        [question.case.noise_seed for question in questions],
        weights,
        steps,
        guidance,
        rule,
    )


def square(image: Image.Image, size: int) -> Image.Image:
    """The centre square of an image at size x size, RGB, antialiased."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    crop = image.convert("RGB").crop((left, top, left + side, top + side))
    return crop.resize((size, size), Image.Resampling.BICUBIC)


def to_tensor(images: Sequence[Image.Image], size: int) -> Tensor:
    """(B, 3, size, size) in [0, 1]."""
    arrays = np.stack([np.asarray(square(image, size)) for image in images])
    return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 255


def to_images(batch: Tensor) -> list[Image.Image]:
    """The inverse of ``to_tensor``: values are clipped to [0, 1] and rounded."""
    arrays = (batch.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(array) for array in arrays]
