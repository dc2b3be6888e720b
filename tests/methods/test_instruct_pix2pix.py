"""Editing by instruction: what the stock pipeline draws, and SD 1.5 as its weak model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from PIL import Image

from bench import registry
from bench.api import Case, Question
from bench.errors import UserError
from bench.methods.backbones import instruct_pix2pix as module
from bench.methods.backbones.instruct_pix2pix import InstructPix2PixBackbone
from bench.methods.instruct_pix2pix import InstructPix2Pix, InstructPix2PixOptions
from bench.plan import Request, make_plan
from bench.run import execute
from tests.methods import tiny_text_backbones as tiny
from tests.networks import picture

TOLD, IMAGE = 5.0, 1.4
SOURCE = picture((tiny.SIDE, tiny.SIDE))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random weights of SD 1.5, and an editor that nothing ties to them."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    plain = tiny.tiny_sd("sd15")
    plain.save_pretrained(home / "weights" / "sd15")
    config = {key: v for key, v in plain.unet.config.items() if not key.startswith("_")}
    editor = {**plain.components, "unet": UNet2DConditionModel(**{**config, "in_channels": 8})}
    made = StableDiffusionInstructPix2PixPipeline(**editor, requires_safety_checker=False)
    made.save_pretrained(home / "weights" / "instruct-pix2pix")
    return home


@pytest.fixture
def backbone(home: Path, monkeypatch: pytest.MonkeyPatch) -> InstructPix2PixBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    return small_backbone()


@pytest.fixture(scope="module")
def pipeline(home: Path) -> Any:
    """The same weights in diffusers' own pipeline."""
    made = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        home / "weights" / "instruct-pix2pix"
    )
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config)
    made.set_progress_bar_config(disable=True)
    return made


def small_backbone() -> InstructPix2PixBackbone:
    return module.load(tiny.SIDE)


def asked(prompt: str = "make it blue", source: Image.Image | None = SOURCE) -> Question:
    case = Case(
        suite="mini-edit@1",
        subject="mug",
        prompt_index=0,
        prompt=prompt,
        name="mug",
        reference="00.png",
        seed=0,
    )
    return Question(case, None, source)


def edited(
    backbone: InstructPix2PixBackbone, question: Question | None = None, **options: Any
) -> Any:
    chosen = InstructPix2PixOptions(**{"steps": tiny.STEPS, "image_guidance": IMAGE, **options})
    [image] = InstructPix2Pix(backbone, chosen).generate([question or asked()])
    return np.asarray(image).astype(int)


def own_noise(backbone: InstructPix2PixBackbone) -> torch.Tensor:
    noise: torch.Tensor = backbone.noise([torch.Generator().manual_seed(asked().case.noise_seed)])
    return noise


@pytest.mark.parametrize("rule", ["backbone", "none"])
def test_it_edits_as_the_stock_pipeline_guided_or_not(
    backbone: InstructPix2PixBackbone, pipeline: Any, rule: str
) -> None:
    expected = pipeline(
        "make it blue",
        image=SOURCE,
        latents=own_noise(backbone),
        num_inference_steps=tiny.STEPS,
        guidance_scale=TOLD if rule == "backbone" else 1.0,
        image_guidance_scale=IMAGE,
    ).images[0]
    ours = edited(backbone, rule=rule, guidance=TOLD)
    assert np.abs(ours - np.asarray(expected).astype(int)).max() <= 1


@torch.no_grad()
def test_plain_sd15_answers_without_image_and_instruction_at_omega_0(
    backbone: InstructPix2PixBackbone, pipeline: Any, home: Path
) -> None:
    """Step by step by the stock networks: the one of SD 1.5 has no channels for an image."""
    plain, scheduler = tiny.stock("sd15", home).unet, pipeline.scheduler
    told, nothing = pipeline._encode_prompt("make it blue", "cpu", 1, True).chunk(3)[:2]
    pixels = pipeline.image_processor.preprocess(SOURCE)
    seen = pipeline.vae.encode(pixels).latent_dist.mode()
    scheduler.set_timesteps(tiny.STEPS)
    x = own_noise(backbone)
    for t in scheduler.timesteps:
        neither = plain(x, t, nothing).sample
        image, both = (pipeline.unet(torch.cat([x, seen], 1), t, c).sample for c in (nothing, told))
        guided = neither + IMAGE * (image - neither) + TOLD * (both - image)
        x = scheduler.step(guided, t, x).prev_sample
    decoded = pipeline.vae.decode(x / pipeline.vae.config.scaling_factor).sample
    expected = np.asarray(pipeline.image_processor.postprocess(decoded)[0]).astype(int)
    ours = edited(backbone, rule=f"pg:scale={TOLD},omega=0.0")
    assert np.abs(ours - expected).max() <= 1


def test_omega_leads_from_sd15_to_its_own_guidance(backbone: InstructPix2PixBackbone) -> None:
    own = edited(backbone, rule=f"cfg:{TOLD}")
    none, half, all_of_it = (
        edited(backbone, rule=f"pg:scale={TOLD},omega={omega}") for omega in (0.0, 0.5, 1.0)
    )
    assert np.array_equal(all_of_it, own)
    assert np.abs(half - own).max() > 2 and np.abs(half - none).max() > 2


def test_the_image_the_words_and_what_stands_around_them_count(
    backbone: InstructPix2PixBackbone,
) -> None:
    ours = edited(backbone)
    assert np.abs(ours - edited(backbone, asked(source=picture(SOURCE.size, 1)))).max() > 2
    assert np.abs(ours - edited(backbone, asked("a car at night"))).max() > 2
    assert np.array_equal(ours, edited(backbone, asked("blue"), prompt="make it {}"))


def test_what_cannot_be_is_one_sentence(backbone: InstructPix2PixBackbone) -> None:
    for rule in ("ag:2.0", "cfg++", "pg++"):
        with pytest.raises(UserError, match=r"guided by an image as well, which .* does not know"):
            InstructPix2PixOptions(rule=rule)
    with pytest.raises(ValueError, match="comes without an image to be edited"):
        edited(backbone, asked(source=None))


def test_it_is_run_on_a_suite_of_edits(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"{__name__}:{small_backbone.__name__}"
    monkeypatch.setitem(registry.BUILT_IN["backbone"], "instruct-pix2pix", target)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    request = Request(
        method="instruct-pix2pix",
        suite="mini-edit-validation",
        options={"steps": "2"},
        guidance="pg:scale=7.5,omega=0",
        limit_subjects=1,
    )
    folder, result = execute(make_plan(request), tmp_path / "run")
    assert result.backbone == "instruct-pix2pix" and result.n_subjects == 1
    assert len(list((folder / "images").rglob("*.png"))) == next(iter(result.metrics.values())).n
