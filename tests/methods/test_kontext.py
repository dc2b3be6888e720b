"""Kontext is the stock pipeline's own answer to the photograph's centre square and the prompt."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline
from PIL import Image

from bench.methods.backbones import flux_kontext
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.kontext import Kontext
from bench.methods.zero_shot import SizedOptions
from bench.plan import Request, make_plan
from bench.run import execute
from tests.methods.tiny_pipelines import beside_flux, question, save_kontext


@pytest.fixture(scope="module")
def home(flux_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user who has these weights and no others."""
    home = beside_flux(flux_home, tmp_path_factory.mktemp("kontext") / "home")
    save_kontext(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def backbone(home: Path) -> PipelineBackbone:
    return flux_kontext.load(resolution=16)


def drawn(backbone: PipelineBackbone, *questions: Any, **options: Any) -> list[Any]:
    method = Kontext(backbone, SizedOptions(steps=2, **options))
    return [np.asarray(image) for image in method.generate(questions)]


def test_it_is_sampled_as_its_card_says_unless_told_otherwise(backbone: PipelineBackbone) -> None:
    assert flux_kontext.load.__defaults__ == (1024,)
    sampling = Kontext(backbone, SizedOptions()).sampling
    assert sampling == {"num_inference_steps": 28, "guidance_scale": 2.5}
    assert Kontext(backbone, SizedOptions(guidance=4)).sampling["guidance_scale"] == 4


@pytest.mark.parametrize("side", [16, 32])
def test_an_image_is_the_stock_pipelines_for_the_same_seed(
    home: Path, backbone: PipelineBackbone, side: int
) -> None:
    asked = question(size=(40, 24))
    [image] = drawn(backbone, asked, resolution=side, guidance=3)
    stock = FluxKontextPipeline.from_pretrained(home / "weights" / "flux-kontext")
    square = asked.reference.crop((8, 0, 32, 24)).resize((side, side), Image.Resampling.BICUBIC)
    expected = stock(
        image=square,
        prompt="a mug",
        height=side,
        width=side,
        max_area=side * side,
        _auto_resize=False,
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(asked.case.noise_seed),
    ).images[0]
    assert image.shape == (side, side, 3)
    np.testing.assert_array_equal(image, np.asarray(expected))


def test_photograph_prompt_and_seed_all_matter(backbone: PipelineBackbone) -> None:
    questions = [question(), question(size=(24, 40)), question(prompt="snow"), question(seed=1)]
    first, *others = drawn(backbone, *questions)
    assert all((first != other).any() for other in others)


def test_an_image_does_not_depend_on_its_neighbours(backbone: PipelineBackbone) -> None:
    [alone] = drawn(backbone, question(seed=1))
    _, beside, _ = drawn(backbone, question(seed=0), question(seed=1), question(seed=2))
    np.testing.assert_array_equal(alone, beside)


def test_it_runs_from_its_names_to_scores(home: Path, tmp_path: Path) -> None:
    plan = make_plan(
        Request(
            method="kontext",
            suite="mini",
            backbone="flux-kontext",
            options={"resolution": "16", "steps": "1"},
            limit_subjects=1,
            seeds=1,
        )
    )
    folder, result = execute(plan, tmp_path / "run")
    assert (result.backbone, result.metrics["dino"].n) == ("flux-kontext", len(plan.cases))
    assert len(list(folder.glob("images/*/*.png"))) == len(plan.cases)
