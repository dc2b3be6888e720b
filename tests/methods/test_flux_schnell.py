"""FLUX.1-schnell's path, held on a tiny FLUX saved to disk without a guidance embedding."""

from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from bench.methods.backbones import flux_schnell
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.sources import SOURCES
from tests.methods.conftest import tiny_flux

PROMPT = "a red mug on the beach"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the release is: no guidance embedding, a schedule that nothing shifts."""
    path = tmp_path / "weights" / "flux-schnell"
    schedule = {"shift": 1.0, "use_dynamic_shifting": False}
    tiny_flux(schedule, guided=False).save_pretrained(path)
    return path


@pytest.fixture
def schnell(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FluxBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    return flux_schnell.load(resolution=16)


@pytest.fixture
def stock(folder: Path) -> FluxPipeline:
    """The same weights in diffusers' own pipeline."""
    pipeline = FluxPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_it_is_loaded_as_flux_schnell_with_its_own_sampling(schnell: FluxBackbone) -> None:
    spec = schnell.spec
    assert (spec.name, spec.steps, spec.guidance) == ("flux-schnell", 4, None)
    assert schnell.encode_prompts([PROMPT]).tokens.shape[1] == 256
    assert SOURCES["flux-schnell"].licence == "Apache-2.0"


@pytest.mark.parametrize("steps", [1, 4])
def test_our_sampler_draws_what_flux_pipeline_draws(
    schnell: FluxBackbone, stock: FluxPipeline, steps: int
) -> None:
    expected = stock(
        PROMPT,
        height=16,
        width=16,
        num_inference_steps=steps,
        guidance_scale=0.0,
        max_sequence_length=256,
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
    ).images
    noise = schnell.noise([torch.Generator().manual_seed(11)])
    condition = Condition(schnell.encode_prompts([PROMPT]), None)
    ours = schnell.sample(condition, noise, {}, steps=steps, guidance=1.0)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (ours - noise).abs().max() > 1e-2
