"""What every backbone without an image prompt does: tiny ones on disk, beside diffusers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench import registry
from bench.api import Question
from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Backbone, Condition, Text
from bench.methods.backbones.unet import UnetBackbone
from bench.methods.guidance import parse
from bench.methods.text_only import TextOnly
from tests.methods.tiny_sdxl import PROMPT, seeded
from tests.methods.tiny_text_backbones import NAMES, PUBLISHED, SIDE, STEPS, drawn, save, stock

GUIDANCE = {"sd-turbo": 1.0, "sdxl-turbo": 1.0}
DEFAULTS = {
    "sd15": (512, 50, 7.5),
    "sd21": (512, 50, 7.5),
    "sd21-768": (768, 50, 7.5),
    "sd-turbo": (512, 4, None),
    "sdxl-turbo": (512, 4, None),
    "sana": (1024, 20, 4.5),
    "sana-512": (512, 20, 4.5),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    save(made)
    return made


@pytest.fixture(params=["sd15", "sd21-768", "sd-turbo", "sdxl-turbo", "sana"])
def name(request: pytest.FixtureRequest) -> str:
    asked: str = request.param
    return asked


@pytest.fixture
def backbone(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> UnetBackbone:
    """Loaded by the same function as the real one."""
    return loaded(name, home, monkeypatch)


def loaded(name: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> UnetBackbone:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    made: UnetBackbone = registry.load("backbone", name)(resolution=SIDE)
    return made


def sampled(backbone: UnetBackbone, noise: Any, weights: Any = OFF, steps: int = STEPS) -> Any:
    condition = Condition(backbone.encode_prompts([PROMPT]), None)
    guidance = GUIDANCE.get(backbone.spec.name, 5.0)
    return backbone.decode(backbone.sample(condition, noise, weights, steps, guidance))


def test_images_are_those_of_the_stock_pipeline(
    name: str, home: Path, backbone: UnetBackbone
) -> None:
    noise = backbone.noise(seeded(3))
    expected = drawn(stock(name, home), noise, GUIDANCE.get(name, 5.0))
    torch.testing.assert_close(sampled(backbone, noise), expected, rtol=0, atol=1e-5)
    assert (sampled(backbone, backbone.noise(seeded(4))) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_it_is_sampled_as_its_papers_do(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    backbone = registry.load("backbone", name)()
    spec = backbone.spec
    assert isinstance(backbone, Backbone) and not spec.sees_references
    assert (spec.name, spec.resolution, spec.steps, spec.guidance) == (name, *DEFAULTS[name])


def test_an_adapter_acts_in_the_stock_pipeline_as_it_does_here(
    name: str, home: Path, backbone: UnetBackbone, tmp_path: Path
) -> None:
    backbone.add_adapter("own", 4, 0, "image")
    generator = torch.Generator().manual_seed(1)
    for path, parameter in backbone.adapter_parameters("own").items():
        if ".lora_B." in path:
            nn.init.normal_(parameter, std=0.3, generator=generator)
    noise = backbone.noise(seeded(3))
    ours, plain = sampled(backbone, noise, {"own": 1.0}), sampled(backbone, noise)
    assert (ours - plain).abs().max() > 1e-4
    backbone.save_adapter("own", tmp_path / "own.safetensors")
    backbone.remove_adapter("own")
    backbone.load_adapter("again", tmp_path / "own.safetensors", "image")
    assert torch.equal(sampled(backbone, noise, {"again": 1.0}), ours)
    pipeline = stock(name, home)
    pipeline.load_lora_weights(str(tmp_path), weight_name="own.safetensors")
    expected = drawn(pipeline, noise, GUIDANCE.get(name, 5.0))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_an_image_depends_on_nothing_that_is_drawn_beside_it(
    name: str, backbone: UnetBackbone
) -> None:
    text, guidance = backbone.encode_prompts([PROMPT, "a dog"]), GUIDANCE.get(name, 5.0)
    second = Condition(Text(text.tokens[1:], text.pooled[1:]), None)
    both = backbone.noise(seeded(1, 2))
    together = backbone.sample(Condition(text, None), both, OFF, STEPS, guidance)
    alone = backbone.sample(second, backbone.noise(seeded(2)), OFF, STEPS, guidance)
    images = backbone.decode(together[1:]), backbone.decode(alone)
    torch.testing.assert_close(*images, rtol=0, atol=1e-5)


def test_text_only_draws_and_a_reference_is_one_clear_sentence(
    name: str, backbone: UnetBackbone, question: Question
) -> None:
    (image,) = TextOnly(backbone, TextOnly.Options(steps=1)).generate([question])
    assert image.size == (SIDE, SIDE)
    with pytest.raises(UserError, match=f"{name} sees no reference; choose"):
        backbone.encode_references(torch.zeros(1, 3, SIDE, SIDE), seeded(0))
    with pytest.raises(UserError, match=r"no image prompt.*tokens=image"):
        backbone.add_adapter("blind", 4, 0)


def test_sag_goes_from_the_plain_prompt_to_the_whole_one(name: str, backbone: UnetBackbone) -> None:
    """All along one of them it is CFG on that, whatever the sampler and however it counts t."""
    whole, noun = (backbone.encode_prompts([text]) for text in (PROMPT, "a mug"))

    def latents(rule: str, condition: Condition) -> Any:
        return backbone.sample(condition, backbone.noise(seeded(3)), OFF, STEPS, 1.0, parse(rule))

    followed = {until: Condition(whole, None, noun) for until in (0, 0.65, 1)}
    early, between, late = (
        latents(f"sag:scale=4,until={until}", condition) for until, condition in followed.items()
    )
    torch.testing.assert_close(early, latents("cfg:4", Condition(noun, None)), rtol=0, atol=1e-5)
    torch.testing.assert_close(late, latents("cfg:4", Condition(whole, None)), rtol=0, atol=1e-5)
    assert min((between - end).abs().max() for end in (early, late)) > 1e-4


def test_what_is_predicted_is_what_the_checkpoint_says(name: str, backbone: UnetBackbone) -> None:
    clean, noise = backbone.noise(seeded(1)), backbone.noise(seeded(2))
    t = torch.tensor([0.4])
    x, target = backbone.noised(clean, noise, t), backbone.target(clean, noise, t)
    if name.startswith("sana"):
        torch.testing.assert_close(x + 0.6 * target, noise)
        return
    signal = (torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).neg().add(1).cumprod(0)[400]
    if name == "sd21-768":
        torch.testing.assert_close(target, signal.sqrt() * noise - (1 - signal).sqrt() * clean)
    else:
        assert torch.equal(target, noise)
    torch.testing.assert_close(x, signal.sqrt() * clean + (1 - signal).sqrt() * noise)


def test_one_step_of_sdxl_turbo_is_its_own_schedulers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ancestral noise comes in with the second step."""
    backbone, pipeline = loaded("sdxl-turbo", home, monkeypatch), stock("sdxl-turbo", home)
    pipeline.scheduler = PUBLISHED["sdxl-turbo"]
    noise = backbone.noise(seeded(3))
    expected = drawn(pipeline, noise, 0.0, steps=1)
    torch.testing.assert_close(sampled(backbone, noise, steps=1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_named_with_the_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match=f"bench weights fetch {name}"):
        loaded(name, tmp_path, monkeypatch)
