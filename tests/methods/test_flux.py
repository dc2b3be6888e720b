"""How a reference stands beside the image, and what is computed of it only once."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from torch import Generator, Tensor, equal
from torch.testing import assert_close

from bench.errors import UserError
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import Conditioning, FluxBackbone

AddTrained = Callable[..., None]
Question = tuple[Condition, Tensor]
SFT = {"sft": 1.0}


@pytest.fixture
def question(backbone: FluxBackbone, add_trained: AddTrained) -> Question:
    """Two prompts with references, noise, and an adapter by which the references are seen."""
    add_trained(backbone, "sft")
    reference, noise = (
        backbone.noise([Generator().manual_seed(seed) for seed in seeds])
        for seeds in ((1, 2), (3, 4))
    )
    text = backbone.encode_prompts(["a red mug on the beach", "a blue mug in snow"])
    return Condition(text, reference), noise


def drawn(backbone: FluxBackbone, question: Question, conditioning: Conditioning) -> Tensor:
    backbone.conditioning = conditioning
    condition, noise = question
    latents: Tensor = backbone.sample(condition, noise, SFT, steps=3, guidance=3.5)
    return latents


def test_as_trained_the_reference_is_to_the_left_and_sees_the_image(mini: FluxBackbone) -> None:
    assert mini.conditioning == Conditioning("left", independent=False, cache=False)


def test_images_are_the_same_with_and_without_the_cache(
    backbone: FluxBackbone, question: Question
) -> None:
    independent = Conditioning(independent=True)
    plain = drawn(backbone, question, independent)
    cached = drawn(backbone, question, replace(independent, cache=True))
    assert_close(cached, plain, rtol=0, atol=1e-5)
    usual = drawn(backbone, question, Conditioning())
    assert (usual - plain).abs().max() > 1e-3  # an independent reference does look different


@pytest.mark.parametrize(("cache", "passes"), [(False, 3), (True, 1)])
def test_the_cache_spares_the_reference_every_step_but_one(
    backbone: FluxBackbone,
    question: Question,
    cache: bool,
    passes: int,
) -> None:
    calls = []
    adapter = backbone.transformer.get_submodule("x_embedder.lora_A.sft")
    adapter.register_forward_hook(lambda *_: calls.append(1))
    drawn(backbone, question, Conditioning(independent=True, cache=cache))
    assert len(calls) == passes


def test_without_a_reference_there_is_nothing_to_keep(
    backbone: FluxBackbone, question: Question
) -> None:
    condition, noise = question
    alone = (Condition(condition.text, None), noise)
    cached = drawn(backbone, alone, Conditioning(independent=True, cache=True))
    assert equal(cached, drawn(backbone, alone, Conditioning()))


def test_what_depends_on_the_step_cannot_be_cached() -> None:
    with pytest.raises(UserError, match=r"turn on 'independent' or turn off 'cache'"):
        Conditioning(cache=True)
