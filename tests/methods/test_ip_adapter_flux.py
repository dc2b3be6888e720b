"""IP-Adapter on FLUX: stock text-to-image, and the photograph on top of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.methods.backbones import flux_ip_adapter
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.ip_adapter_flux import IpAdapterFlux, IpAdapterOptions
from tests.methods.tiny_pipelines import beside_flux, question, save_ip_adapter, stock


@pytest.fixture(scope="module")
def home(flux_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user who has these weights and no others."""
    home = beside_flux(flux_home, tmp_path_factory.mktemp("ip-adapter") / "home")
    save_ip_adapter(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def backbone(home: Path) -> PipelineBackbone:
    return flux_ip_adapter.load(resolution=16)


def drawn(backbone: PipelineBackbone, *questions: Any, **options: Any) -> list[Any]:
    method = IpAdapterFlux(backbone, IpAdapterOptions(steps=2, **options))
    return [np.asarray(image) for image in method.generate(questions)]


@pytest.mark.parametrize("true_guidance", [1.0, 4.0])
def test_at_scale_0_it_is_plain_text_to_image(
    home: Path, backbone: PipelineBackbone, true_guidance: float
) -> None:
    [image] = drawn(backbone, question(), scale=0, true_guidance=true_guidance)
    expected = stock(home)(
        "a mug",
        negative_prompt="",
        true_cfg_scale=true_guidance,
        height=16,
        width=16,
        num_inference_steps=2,
        guidance_scale=3.5,
        generator=torch.Generator().manual_seed(question().case.noise_seed),
    ).images[0]
    np.testing.assert_array_equal(image, np.asarray(expected))


def test_the_photograph_matters_by_its_scale(backbone: PipelineBackbone) -> None:
    one, other = question(), question(size=(24, 40))
    text = drawn(backbone, one, scale=0)[0].astype(int)
    weak = drawn(backbone, one, scale=0.05)[0].astype(int)
    strong = drawn(backbone, one, scale=1)[0].astype(int)
    assert 0 < np.abs(weak - text).mean() < np.abs(strong - text).mean()
    assert (drawn(backbone, other, scale=1)[0] != strong).any()


def test_an_image_is_the_stock_pipelines_for_the_same_seed(
    home: Path, backbone: PipelineBackbone
) -> None:
    asked = question(seed=3)
    [image] = drawn(backbone, asked, scale=0.7, true_guidance=2, resolution=32)
    pipeline, weights = stock(home), home / "weights"
    pipeline.load_ip_adapter(
        str(weights),
        weight_name="flux-ip-adapter.safetensors",
        image_encoder_pretrained_model_name_or_path=str(weights / "clip-vit-large-patch14"),
        image_encoder_dtype=torch.float32,
    )
    pipeline.set_ip_adapter_scale(0.7)
    expected = pipeline(
        "a mug",
        negative_prompt="",
        true_cfg_scale=2.0,
        ip_adapter_image=asked.reference,
        height=32,
        width=32,
        num_inference_steps=2,
        guidance_scale=3.5,
        generator=torch.Generator().manual_seed(asked.case.noise_seed),
    ).images[0]
    np.testing.assert_array_equal(image, np.asarray(expected))


def test_an_image_does_not_depend_on_its_neighbours(backbone: PipelineBackbone) -> None:
    [alone] = drawn(backbone, question(seed=1))
    _, beside, _ = drawn(backbone, question(seed=0), question(seed=1), question(seed=2))
    np.testing.assert_array_equal(alone, beside)
