"""Guidance in samplers: beside stock pipelines, by hand, and where its ends meet: to the bit."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FluxPipeline
from torch import Tensor

from bench.methods.backbones import sdxl as sdxl_module
from bench.methods.backbones.backbone import OFF, Asked, Condition, Weights
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.guidance import parse
from tests.methods.conftest import MAX_TEXT
from tests.methods.tiny_sdxl import (
    PHOTOGRAPH,
    PROMPT,
    RESOLUTION,
    SCHEDULE,
    add_trained,
    asked,
    drawn,
    seeded,
    stock,
)

pytest_plugins = ["tests.methods.sdxl_fixtures"]

TUNED: Weights = {"db": 1.0}


def sampled(backbone: SdxlBackbone, text: str, weights: Weights = OFF) -> Tensor:
    rule, noise = parse(text), backbone.noise(seeded(3))
    condition = replace(asked(backbone), plain=backbone.encode_prompts(["a mug"]))
    latents: Tensor = backbone.sample(condition, noise, weights, 3, 1.0, rule)
    return latents


def test_cfg_draws_what_the_stock_sd_xl_draws(sdxl_home: Path, bare_sdxl: SdxlBackbone) -> None:
    pipeline, noise = stock(sdxl_home), bare_sdxl.noise(seeded(3))
    pipeline.set_ip_adapter_scale(0.6)
    expected = drawn(pipeline, noise, 7.5, ip_adapter_image=PHOTOGRAPH)
    latents = bare_sdxl.sample(asked(bare_sdxl), noise, OFF, 4, 1.0, parse("cfg:7.5"))
    torch.testing.assert_close(bare_sdxl.decode(latents), expected, rtol=0, atol=1e-5)


def test_cfg_draws_what_the_stock_flux_draws(flux: FluxBackbone, flux_home: Path) -> None:
    pipeline = FluxPipeline.from_pretrained(flux_home / "weights" / "flux-dev")
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        PROMPT,
        negative_prompt="",
        true_cfg_scale=3.0,
        height=16,
        width=16,
        num_inference_steps=3,
        guidance_scale=2.0,
        max_sequence_length=MAX_TEXT,
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
    ).images
    condition = Condition(flux.encode_prompts([PROMPT]), None)
    ours = flux.sample(condition, flux.noise(seeded(11)), {}, 3, 2.0, parse("cfg:3"))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_cfg_as_a_rule_is_the_backbones_own_to_the_bit(bare_sdxl: SdxlBackbone) -> None:
    own = bare_sdxl.sample(asked(bare_sdxl), bare_sdxl.noise(seeded(3)), OFF, 3, 5.0)
    assert torch.equal(sampled(bare_sdxl, "cfg:5"), own)
    plain = bare_sdxl.sample(asked(bare_sdxl), bare_sdxl.noise(seeded(3)), OFF, 3, 1.0)
    assert torch.equal(sampled(bare_sdxl, "none"), plain)


def test_pg_is_cfg_at_omega_1_to_the_bit(sdxl: SdxlBackbone) -> None:
    add_trained(sdxl, "db")
    cfg = sampled(sdxl, "cfg:5", TUNED)
    assert torch.equal(sampled(sdxl, "pg:scale=5,omega=1", TUNED), cfg)
    assert torch.equal(
        sampled(sdxl, "pg++:scale=0.4,omega=1", TUNED), sampled(sdxl, "cfg++:0.4", TUNED)
    )
    assert (sampled(sdxl, "pg:scale=5,omega=0.6", TUNED) - cfg).abs().max() > 1e-3


def test_at_omega_0_the_weak_model_is_the_pre_trained_one_to_the_bit(
    sdxl: SdxlBackbone, bare_sdxl: SdxlBackbone
) -> None:
    add_trained(sdxl, "db")
    x, t = sdxl.noise(seeded(3)), torch.tensor([0.4])
    weak, strong = parse("pg:scale=5,omega=0").asks(asked(sdxl), sdxl._without, TUNED)
    pretrained = bare_sdxl.predict(x, t, bare_sdxl._without(asked(bare_sdxl)))
    assert torch.equal(sdxl.predict(x, t, weak.condition, weak.weights), pretrained)
    tuned = sdxl.predict(x, t, strong.condition, strong.weights)
    assert (tuned - bare_sdxl.predict(x, t, asked(bare_sdxl))).abs().max() > 1e-3


def test_pg_asks_a_lora_twice_in_one_forward_pass(sdxl: SdxlBackbone) -> None:
    add_trained(sdxl, "db")
    x, timesteps, passes = sdxl.noise(seeded(3)), torch.tensor([400]), []
    sdxl.unet.register_forward_pre_hook(lambda module, arguments: passes.append(arguments[0]))
    both = parse("pg:scale=5,omega=0.6").asks(asked(sdxl), sdxl._without, TUNED)
    together = sdxl._answers(x, timesteps, both)
    assert [len(rows) for rows in passes] == [2]
    apart = [sdxl._answers(x, timesteps, [each])[0] for each in both]
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)


@pytest.mark.parametrize("omega", [0.0, 0.5, 1.0])
def test_the_weak_model_has_the_interpolated_weights(sdxl: SdxlBackbone, omega: float) -> None:
    add_trained(sdxl, "db")
    x, t = sdxl.noise(seeded(3)), torch.tensor([0.4])
    weak, _ = parse(f"pg:omega={omega}").asks(asked(sdxl), sdxl._without, TUNED)
    ours = sdxl.predict(x, t, weak.condition, weak.weights)
    for layer in sdxl._switches._adapted:
        delta = layer.lora_B["db"].weight @ layer.lora_A["db"].weight
        layer.get_base_layer().weight.data += omega * delta
    expected = sdxl.predict(x, t, weak.condition)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("none", 1),
        ("cfg", 2),
        ("ag", 2),
        ("pg", 2),
        ("cfg+ag", 3),
        ("sag", 3),
    ],
)
def test_pg_costs_what_cfg_costs(sdxl: SdxlBackbone, text: str, answers: int) -> None:
    """All answers of a step in one pass; no weights beside."""
    add_trained(sdxl, "db")
    held, passed = sum(p.numel() for p in sdxl.unet.parameters()), []
    hook = sdxl.unet.register_forward_hook(lambda unet, given, out: passed.append(len(out[0])))
    sampled(sdxl, text, TUNED)
    hook.remove()
    assert passed == [answers] * 3
    assert sum(p.numel() for p in sdxl.unet.parameters()) == held


@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler])
def test_cfg_plus_plus_on_noise_and_v(sdxl_home: Path, predicted: str, kind: type) -> None:
    """x_0 from the guided noise, put back: the unguided noise; DDIM's own form, written out."""
    backbone = scheduled(sdxl_home, kind, predicted)
    x, scale, condition = backbone.noise(seeded(3)), 0.4, asked(backbone)
    ours = backbone.sample(condition, x, OFF, 3, 1.0, parse(f"cfg++:{scale}"))

    def eps(x: Tensor, noises: Noises) -> tuple[Tensor, Tensor]:
        free, conditional = noises(x, backbone._without(condition)), noises(x, condition)
        return free + scale * (conditional - free), free

    torch.testing.assert_close(ours, by_hand(backbone, x, predicted, eps), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction"])
def test_sag_on_noise_and_v(sdxl_home: Path, predicted: str) -> None:
    """Of the timesteps 667, 334 and 1 the first follows the noun alone; all in terms of noise."""
    backbone = scheduled(sdxl_home, DDIMScheduler, predicted)
    noun = asked(backbone, "a mug")
    x, condition = backbone.noise(seeded(3)), replace(asked(backbone), plain=noun.text)
    ours = backbone.sample(condition, x, OFF, 3, 1.0, parse("sag:scale=4,sag=1.5,until=0.5"))
    r = iter([-1.0, 0.5, 0.5])

    def eps(x: Tensor, noises: Noises) -> tuple[Tensor, Tensor]:
        w = next(r)
        followed = (1 + w) * noises(x, condition) - w * noises(x, noun)
        guided = 4 * followed - 3 * noises(x, backbone._without(condition))
        return guided, guided

    torch.testing.assert_close(ours, by_hand(backbone, x, predicted, eps), rtol=1e-4, atol=1e-4)


Noises = Callable[[Tensor, Condition], Tensor]
"""The noise that a network sees in a latent."""


def scheduled(home: Path, kind: type, predicted: str) -> SdxlBackbone:
    """The tiny SD-XL under another sampler, its answers read as noise or as v."""
    pipeline = stock(home)
    pipeline.scheduler = kind(**SCHEDULE, prediction_type=predicted, **_ddim_only(kind))
    return sdxl_module.wrap(pipeline, "tiny", "digest", RESOLUTION)


def by_hand(
    backbone: SdxlBackbone,
    x: Tensor,
    predicted: str,
    eps: Callable[[Tensor, Noises], tuple[Tensor, Tensor]],
) -> Tensor:
    """Three steps of DDIM; ``eps`` says which noise is taken from x, and which is put back."""
    alphas, times = backbone._scheduler.alphas_cumprod, [667, 334, 1]
    for now, following in zip(times, [*times[1:], None], strict=True):
        a = alphas[now]
        a_next = torch.tensor(1.0) if following is None else alphas[following]

        def noises(x: Tensor, condition: Condition, now: int = now, a: Tensor = a) -> Tensor:
            answer: Tensor = backbone.predict(x, torch.tensor([(now + 0.5) / 1000]), condition)
            return a.sqrt() * answer + (1 - a).sqrt() * x if predicted[0] == "v" else answer

        taken, back = eps(x, noises)
        clean = (x - (1 - a).sqrt() * taken) / a.sqrt()
        x = a_next.sqrt() * clean + (1 - a_next).sqrt() * back
    return x


def _ddim_only(kind: type) -> dict[str, bool]:
    return {"clip_sample": False} if kind is DDIMScheduler else {}


def test_cfg_plus_plus_on_a_flow(flux: FluxBackbone) -> None:
    """x_0 = x - t v guided, eps = x + (1 - t) v unguided, and x' = (1 - t') x_0 + t' eps."""
    condition, x = Condition(flux.encode_prompts([PROMPT]), None), flux.noise(seeded(3))
    ours = flux.sample(condition, x, OFF, 3, 1.0, parse("cfg++:0.4"))
    times = flux.schedule(3).sigmas
    for t, following in pairwise(times):
        free, conditional = (
            flux.predict(x, t[None], each) for each in (flux._without(condition), condition)
        )
        clean = x - t * (free + 0.4 * (conditional - free))
        x = (1 - following) * clean + following * (x + (1 - t) * free)
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)


def test_sag_on_a_flow(flux: FluxBackbone) -> None:
    """The noun alone where t > 0.7, Euler steps of what is guided everywhere."""
    noun = flux.encode_prompts(["a mug"])
    condition, x = Condition(flux.encode_prompts([PROMPT]), None, noun), flux.noise(seeded(3))
    ours = flux.sample(condition, x, OFF, 3, 1.0, parse("sag:scale=3,sag=1.5,until=0.7"))
    times = flux.schedule(3).sigmas
    assert (times > 0.7).tolist() == [True, True, False, False]
    for t, following in pairwise(times):
        free, plain, whole = (
            flux.predict(x, t[None], each)
            for each in (flux._without(condition), Condition(noun, None), condition)
        )
        followed = plain if t > 0.7 else 1.5 * whole - 0.5 * plain
        x = x + (following - t) * (3 * followed - 2 * free)
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)


def test_a_number_alone_is_the_plain_loop_to_the_bit(
    backbone: FluxBackbone, add_trained: Callable[..., None]
) -> None:
    add_trained(backbone, "db")
    x, scheduler = backbone.noise(seeded(3, 4)), backbone.schedule(3)
    reference = backbone.noise(seeded(5, 6))
    condition = Condition(backbone.encode_prompts([PROMPT, "a mug"]), reference)
    ours = backbone.sample(condition, x, TUNED, 3, 2.0)
    assert torch.equal(ours, backbone.sample(condition, x, TUNED, 3, 2.0, parse("none")))
    for timestep in scheduler.timesteps:
        velocity = backbone.predict(x, (timestep / 1000).expand(2), condition, TUNED, 2.0)
        x = scheduler.step(velocity, timestep, x, return_dict=False)[0]
    assert torch.equal(ours, x)


def test_on_a_flow_the_prompt_is_dropped_and_the_reference_stays(backbone: FluxBackbone) -> None:
    reference = backbone.noise(seeded(5))
    condition = Condition(backbone.encode_prompts([PROMPT]), reference)
    [null, whole] = parse("cfg").asks(condition, backbone._without, OFF)
    assert torch.equal(null.condition.text.tokens, backbone.encode_prompts([""]).tokens)
    assert null.condition.reference is reference
    assert whole == Asked(condition, OFF)


def test_a_cached_reference_is_kept_for_each_of_the_models(
    flux: FluxBackbone, add_trained: Callable[..., None]
) -> None:
    add_trained(flux, "db")
    condition = Condition(flux.encode_prompts([PROMPT]), flux.noise(seeded(5)))
    x, rule = flux.noise(seeded(3)), parse("pg:scale=3,omega=0.5")
    both = []
    for cache in (False, True):
        flux.conditioning = type(flux.conditioning)(independent=True, cache=cache)
        both.append(flux.sample(condition, x, TUNED, 3, 1.0, rule))
    torch.testing.assert_close(*both, rtol=0, atol=1e-5)
