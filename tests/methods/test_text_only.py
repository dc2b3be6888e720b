"""Text-only is the backbone's own text-to-image, whatever reference is put beside the prompt."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from PIL import Image

from bench.api import Case, Question
from bench.errors import UserError
from bench.methods.backbones.flux import FluxBackbone, unpack
from bench.methods.sft_base import GuidedOptions
from bench.methods.text_only import TextOnly
from tests.methods.conftest import MAX_TEXT, RESOLUTION

OPTIONS = GuidedOptions(steps=3, guidance=3.5)


def question(prompt: str = "a mug in snow", level: int = 0, seed: int = 0) -> Question:
    case = Case(
        suite="mini@1",
        subject="mug-000",
        prompt_index=0,
        prompt=prompt,
        name="mug",
        reference="00.png",
        seed=seed,
    )
    return Question(case, Image.new("RGB", (RESOLUTION, RESOLUTION), (level, level, level)))


def drawn(backbone: FluxBackbone, *questions: Question) -> list[Any]:
    images = TextOnly(backbone, OPTIONS).generate(questions)
    return [np.asarray(image).astype(int) for image in images]


def test_the_reference_changes_nothing_but_prompt_and_seed_do(backbone: FluxBackbone) -> None:
    same, again, prompt, seed = drawn(
        backbone, question(), question(level=255), question("a red vase at night"), question(seed=1)
    )
    assert np.abs(same - again).max() <= 1
    assert np.abs(same - prompt).max() > 2
    assert np.abs(same - seed).max() > 10


def test_on_flux_it_is_the_stock_pipeline(flux: FluxBackbone, stock: FluxPipeline) -> None:
    asked = question()
    own = torch.Generator().manual_seed(asked.case.noise_seed)
    noise = unpack(flux.noise([own]), flux.codec.patch)
    packed = FluxPipeline._pack_latents(noise, *noise.shape)
    expected = stock(
        asked.case.prompt,
        latents=packed,
        height=RESOLUTION,
        width=RESOLUTION,
        num_inference_steps=3,
        guidance_scale=3.5,
        max_sequence_length=MAX_TEXT,
    ).images[0]
    [image] = drawn(flux, asked)
    assert np.abs(image - np.asarray(expected).astype(int)).max() <= 1


def test_a_backbone_that_draws_from_no_text_alone_is_refused_in_one_sentence() -> None:
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="editor"))
    with pytest.raises(UserError, match=r"^The backbone editor draws with a pipeline of its own"):
        TextOnly(other, OPTIONS)
