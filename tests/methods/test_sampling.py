"""Images follow from their own seed, prompt and reference; from no neighbour and no batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.api import Case, Question
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.sampling import answer, draw, square, to_images, to_tensor

PROMPTS = ["a red mug on the beach", "a blue mug in snow", "a vase", "a dog at night"]


@pytest.fixture
def references() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in PROMPTS]


@pytest.fixture
def drawn(
    backbone: FluxBackbone, references: list[Image.Image], add_trained: Callable[..., None]
) -> Callable[..., list[Image.Image]]:
    """``drawn(indices, seeds)``: images of those prompts with those seeds."""
    add_trained(backbone, "sft")

    def call(indices: list[int], seeds: list[int]) -> list[Image.Image]:
        prompts = [PROMPTS[i] for i in indices]
        chosen = [references[i] for i in indices]
        images: list[Image.Image] = draw(backbone, prompts, chosen, seeds, {"sft": 1.0}, 3, 3.5)
        return images

    return call


def difference(one: Image.Image, other: Image.Image) -> int:
    levels = np.asarray(one).astype(int) - np.asarray(other).astype(int)
    return int(np.abs(levels).max())


def test_an_image_does_not_depend_on_its_neighbours(
    drawn: Callable[..., list[Image.Image]],
) -> None:
    first = drawn([0, 1], [5, 6])
    other = drawn([0, 2], [5, 7])
    assert first[0].tobytes() == other[0].tobytes()
    assert difference(first[1], other[1]) > 10


def test_another_seed_is_another_image(drawn: Callable[..., list[Image.Image]]) -> None:
    one, other = drawn([0, 0], [5, 6])
    assert difference(one, other) > 10


def test_order_and_batch_size_move_no_pixel_by_more_than_a_level(
    drawn: Callable[..., list[Image.Image]],
) -> None:
    together = drawn([0, 1, 2, 3], [1, 2, 3, 4])
    backwards = drawn([3, 2, 1, 0], [4, 3, 2, 1])[::-1]
    alone = [drawn([i], [i + 1])[0] for i in range(4)]
    for image, moved, single in zip(together, backwards, alone, strict=True):
        assert difference(image, moved) <= 1 and difference(image, single) <= 1


def test_latents_are_the_same_in_any_batch(
    backbone: FluxBackbone, add_trained: Callable[..., None]
) -> None:
    add_trained(backbone, "sft")
    noise = backbone.noise([torch.Generator().manual_seed(seed) for seed in range(4)])
    text = backbone.encode_prompts(PROMPTS)
    reference = noise.flip(1)

    def latents(part: slice) -> Any:
        own = type(text)(text.tokens[part], text.pooled[part])
        condition = Condition(own, reference[part])
        return backbone.sample(condition, noise[part], {"sft": 1.0}, 4, 3.5)

    together = latents(slice(0, 4))
    alone = torch.cat([latents(slice(i, i + 1)) for i in range(4)])
    assert (together - alone).norm() / together.norm() < 1e-6


def test_questions_are_drawn_from_their_cases(
    backbone: FluxBackbone, references: list[Image.Image]
) -> None:
    case = Case(
        suite="mini@1",
        subject="mug-01",
        prompt_index=3,
        prompt=PROMPTS[0],
        name="mug",
        reference="00.png",
        seed=2,
    )
    (answered,) = answer(backbone, [Question(case, references[0])], {}, 2, 1.0)
    seed = case.noise_seed
    (by_hand,) = draw(backbone, [PROMPTS[0]], [references[0]], [seed], {}, 2, 1.0)
    assert answered.tobytes() == by_hand.tobytes()


def test_more_steps_are_taken_when_asked_for(backbone: FluxBackbone) -> None:
    for steps in (1, 4):
        schedule = backbone.schedule(steps)
        assert len(schedule.timesteps) == steps
        assert schedule.sigmas[0] == 1 and schedule.sigmas[-1] == 0


def test_images_survive_the_way_to_tensors_and_back(references: list[Image.Image]) -> None:
    batch = to_tensor(references, 16)
    assert batch.shape == (4, 3, 16, 16) and batch.min() >= 0 and batch.max() <= 1
    for image, again in zip(references, to_images(batch), strict=True):
        assert image.tobytes() == again.tobytes()


def test_tensors_are_clipped_and_rounded() -> None:
    values = torch.tensor([-1.0, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 7.0])
    (image,) = to_images(values.view(1, 1, 1, 6).expand(1, 3, 1, 6))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("size", [(30, 10), (10, 30)])
def test_oblong_images_lose_what_is_beside_the_centre(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (255, 0, 0))
    left, top = (size[0] - 10) // 2, (size[1] - 10) // 2
    image.paste((0, 0, 255), (left, top, left + 10, top + 10))
    cropped = square(image, 8)
    assert cropped.size == (8, 8)
    assert cropped.getcolors() == [(64, (0, 0, 255))]


def test_images_of_other_modes_become_rgb() -> None:
    for mode in ("L", "P", "RGBA", "CMYK"):
        assert square(Image.new(mode, (9, 9)), 4).mode == "RGB"
