"""Diptych Prompting: what is put to the left, what comes out on the right, how it is painted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxControlNetPipeline
from PIL import Image

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.backbones import flux_inpainting
from bench.methods.backbones.panel_attention import left_panel
from bench.methods.backbones.pipelines import PipelineBackbone
from bench.methods.diptych import Diptych, DiptychOptions
from bench.metrics import regions
from bench.options import resolve
from tests.methods.tiny_pipelines import beside_flux, parts, question, save_controlnet

SIDE, PANEL = 16, 32
"""Pixels of an answer, and with the border of 8 around it."""


@pytest.fixture(scope="module")
def home(flux_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user who has these weights and no others."""
    home = beside_flux(flux_home, tmp_path_factory.mktemp("diptych") / "home")
    save_controlnet(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(home))
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
        yield home


@pytest.fixture(scope="module")
def backbone(home: Path) -> PipelineBackbone:
    return flux_inpainting.load(resolution=SIDE)


def method(backbone: PipelineBackbone, **options: Any) -> Diptych:
    return Diptych(backbone, DiptychOptions(**{"cut_out": False, "steps": 2, **options}))


def drawn(backbone: PipelineBackbone, *questions: Any, **options: Any) -> list[Any]:
    return [np.asarray(image) for image in method(backbone, **options).generate(questions)]


def test_the_settings_are_the_papers(backbone: PipelineBackbone) -> None:
    assert flux_inpainting.load.__defaults__ == (768,)
    told = method(backbone, steps=None)
    assert told.sampling == {"num_inference_steps": 30, "guidance_scale": 3.5}
    options = DiptychOptions()
    assert (options.attention, options.control, options.true_guidance) == (1.3, 0.95, 3.5)
    assert options.cut_out


def test_the_photograph_is_stretched_over_the_left_panel_and_the_right_one_is_black(
    backbone: PipelineBackbone,
) -> None:
    asked = question(size=(40, 24))
    both = method(backbone).diptych(asked)
    assert both.size == (2 * PANEL, PANEL)
    left = np.asarray(asked.reference.resize((PANEL, PANEL), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(np.asarray(both)[:, :PANEL], left)
    assert not np.asarray(both)[:, PANEL:].any()


def test_the_answer_is_the_middle_of_the_right_panel(
    backbone: PipelineBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted = Image.fromarray(np.arange(2 * PANEL * PANEL, dtype=np.uint16).reshape(PANEL, -1))
    monkeypatch.setattr(PipelineBackbone, "draw", lambda *args, **named: painted)
    [image] = drawn(backbone, question())
    np.testing.assert_array_equal(image, np.asarray(painted)[8:24, 40:56])
    assert image.shape == (SIDE, SIDE)


def test_with_factor_1_an_image_is_the_stock_pipelines_on_the_same_diptych(
    home: Path, backbone: PipelineBackbone
) -> None:
    asked = question(seed=3)
    words = "{name} here, there {prompt}"
    [image] = drawn(backbone, asked, attention=1, words=words, control=0.8, true_guidance=2)
    controlnet = flux_inpainting.read(home / "weights" / "flux-inpainting")
    controlnet.given = left_panel(PANEL // 4)
    stock = FluxControlNetPipeline(**parts(home), controlnet=controlnet)
    expected = stock(
        "red mug here, there a mug",
        control_image=method(backbone).diptych(asked),
        controlnet_conditioning_scale=0.8,
        negative_prompt="",
        true_cfg_scale=2.0,
        height=PANEL,
        width=2 * PANEL,
        num_inference_steps=2,
        guidance_scale=3.5,
        generator=torch.Generator().manual_seed(asked.case.noise_seed),
    ).images[0]
    np.testing.assert_array_equal(image, np.asarray(expected)[8:24, 40:56])


@pytest.mark.parametrize(
    "changed",
    [{"attention": 1.3}, {"control": 0}, {"true_guidance": 1}, {"words": "{prompt}"}],
    ids=lambda changed: next(iter(changed)),
)
def test_every_option_changes_the_image(
    backbone: PipelineBackbone, changed: dict[str, Any]
) -> None:
    stock: dict[str, Any] = {"attention": 1.0, "control": 3, "true_guidance": 4}
    [before] = drawn(backbone, question(), **stock)
    [after] = drawn(backbone, question(), **{**stock, **changed})
    assert (before != after).any()


def test_an_image_does_not_depend_on_its_neighbours(backbone: PipelineBackbone) -> None:
    [alone] = drawn(backbone, question(seed=1))
    _, beside, _ = drawn(backbone, question(seed=0), question(seed=1), question(seed=2))
    np.testing.assert_array_equal(alone, beside)


def test_words_that_cannot_be_filled_are_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"words=a \{noun\} of diptych does not fit: .*\{prompt\}"):
        resolve("diptych", DiptychOptions, {}, {"words": "a {noun}"})


class TestCutOut:
    """The detectors stand in for themselves: what they find is decided here."""

    @pytest.fixture
    def mask(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """What SAM outlines in the box that Grounding DINO finds."""
        mask = np.zeros((PANEL, PANEL), np.bool_)
        found = regions.Grounding((4.0, 4.0, 20.0, 20.0), 0.9)

        class Detector:
            recipe = "some detector"

            def ground(self, images: Any, nouns: list[str]) -> list[regions.Grounding]:
                return [
                    found if noun == "red mug" else regions.Grounding(None, 0.1) for noun in nouns
                ]

            def mask(self, images: Any, boxes: Any) -> list[Any]:
                assert boxes == [found.box]
                return [mask]

        monkeypatch.setattr(regions, "Grounder", Detector)
        monkeypatch.setattr(regions, "Masker", Detector)
        return mask

    def left(self, backbone: PipelineBackbone, workspace: Workspace) -> Any:
        told = method(backbone, cut_out=True)
        told.train(workspace)
        return np.asarray(told.diptych(question()))[:, :PANEL]

    def test_all_but_the_subject_is_white(
        self, backbone: PipelineBackbone, workspace: Workspace, mask: Any
    ) -> None:
        mask[8:16, 4:20] = True
        whole = np.asarray(method(backbone).diptych(question()))[:, :PANEL]
        expected = np.where(mask[..., None], whole, 255)
        np.testing.assert_array_equal(self.left(backbone, workspace), expected)

    def test_a_subject_that_is_not_found_is_shown_whole_and_the_log_says_so(
        self, backbone: PipelineBackbone, tmp_path: Path, mask: Any
    ) -> None:
        events: list[Any] = []
        workspace = Workspace(tmp_path, tmp_path, events.append)
        whole = np.asarray(method(backbone).diptych(question()))[:, :PANEL]
        np.testing.assert_array_equal(self.left(backbone, workspace), whole)
        assert events == [{"event": "subject not found", "case": "mug-000/00-0.png"}]

    def test_the_detectors_are_part_of_the_identity(
        self, backbone: PipelineBackbone, mask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert method(backbone).inputs == {}
        before = method(backbone, cut_out=True).inputs
        monkeypatch.setattr(regions.Masker, "recipe", "another detector")
        assert before.keys() == {"cut_out"} and method(backbone, cut_out=True).inputs != before

    def test_without_detectors_the_missing_one_is_named(self, backbone: PipelineBackbone) -> None:
        with pytest.raises(UserError, match="'bench weights fetch grounding-dino-tiny'"):
            method(backbone, cut_out=True)
