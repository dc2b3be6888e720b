"""IP-Adapter as a method, on a tiny SD-XL beside diffusers' own pipeline."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import registry
from bench.api import Case, Question, Workspace
from bench.errors import UserError
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.ip_adapter import IpAdapter, IpAdapterOptions
from bench.methods.sft_base import SftBase, SftOptions
from tests.methods.tiny_sdxl import RESOLUTION, stock
from tests.networks import picture

pytest_plugins = ["tests.methods.sdxl_fixtures"]


@pytest.fixture
def questions() -> list[Question]:
    """Two prompts, each with a photograph of its own, the second no square."""
    sizes = ((RESOLUTION, RESOLUTION), (48, 40))
    return [
        Question(case(index, prompt), picture(size, seed=index))
        for index, (prompt, size) in enumerate(zip(("a mug", "a red mug"), sizes, strict=True))
    ]


def case(index: int, prompt: str) -> Case:
    return Case(
        suite="mini@1",
        subject="mug",
        prompt_index=index,
        prompt=prompt,
        name="mug",
        reference="00.png",
        seed=0,
    )


@pytest.mark.parametrize("scale", [0.6, 1.0])
def test_an_image_is_what_diffusers_draws_at_the_same_scale(
    bare_sdxl: SdxlBackbone,
    sdxl_home: Path,
    questions: list[Question],
    scale: float,
) -> None:
    method = IpAdapter(bare_sdxl, IpAdapterOptions(steps=3, guidance=5.0, scale=scale))
    pipeline = stock(sdxl_home)
    pipeline.set_ip_adapter_scale(scale)
    (expected,) = pipeline(
        questions[0].case.prompt,
        ip_adapter_image=questions[0].reference,
        height=RESOLUTION,
        width=RESOLUTION,
        num_inference_steps=3,
        guidance_scale=5.0,
        latents=bare_sdxl.noise([torch.Generator().manual_seed(questions[0].case.noise_seed)]),
    ).images
    (ours,) = method.generate(questions[:1])
    assert np.array_equal(np.asarray(ours), np.asarray(expected))


def test_options_are_06_and_sd_xls_sampling_by_default(bare_sdxl: SdxlBackbone) -> None:
    method = IpAdapter(bare_sdxl, IpAdapterOptions())
    assert (method.backbone.image_scale, method.steps, method.guidance) == (0.6, 50, 5.0)


def test_the_scale_is_the_methods_own_and_zero_is_text_alone(
    bare_sdxl: SdxlBackbone, questions: list[Question]
) -> None:
    def drawn(scale: float, reference: Question) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        method = IpAdapter(bare_sdxl, IpAdapterOptions(steps=2, scale=scale))
        asked = Question(questions[0].case, reference.reference)
        return np.asarray(method.generate([asked])[0])

    assert np.array_equal(drawn(0, questions[0]), drawn(0, questions[1]))
    assert not np.array_equal(drawn(1, questions[0]), drawn(1, questions[1]))
    assert bare_sdxl.image_scale == 0.6


def test_images_do_not_depend_on_what_is_drawn_beside_them(
    bare_sdxl: SdxlBackbone, questions: list[Question]
) -> None:
    method = IpAdapter(bare_sdxl, IpAdapterOptions(steps=2))
    together = np.asarray(method.generate(questions)[1]).astype(int)
    alone = np.asarray(method.generate(questions[1:])[0]).astype(int)
    assert np.abs(together - alone).max() <= 1  # rounding to eight bits


def test_sft_base_on_sd_xl_is_ip_adapter_itself(
    bare_sdxl: SdxlBackbone, questions: list[Question], workspace: Workspace
) -> None:
    """It sees references without any adapter: there is nothing to train."""
    base = SftBase(bare_sdxl, SftOptions(steps=2))
    base.train(workspace)
    method = IpAdapter(bare_sdxl, IpAdapterOptions(steps=2))
    ours, theirs = (np.asarray(made.generate(questions[:1])[0]) for made in (base, method))
    assert np.array_equal(ours, theirs)


def test_a_backbone_without_it_is_refused(mini: FluxBackbone) -> None:
    with pytest.raises(UserError, match=r"choose --backbone sdxl for 'ip-adapter'"):
        IpAdapter(mini, IpAdapterOptions())


def test_it_is_registered_as_a_method_that_trains_nothing() -> None:
    factory = registry.load("method", "ip-adapter")
    assert factory is IpAdapter and factory.scope == "none"
