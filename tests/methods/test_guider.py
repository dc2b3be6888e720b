"""The guider, driven as diffusers' denoising loops drive one, is our own rule."""

import pytest
import torch
from torch import Tensor

from bench.methods.backbones.backbone import Place
from bench.methods.backbones.sdxl import SdxlBackbone
from bench.methods.backbones.switches import Acting
from bench.methods.guidance import parse
from bench.methods.guider import PersonalizationGuidance
from tests.methods.tiny_sdxl import add_trained, asked, seeded

pytest_plugins = ["tests.methods.sdxl_fixtures"]

SCALE = 5.0


def guided(backbone: SdxlBackbone, guider: PersonalizationGuidance, x: Tensor) -> Tensor:
    """One step of a modular pipeline: a pass for each of the guider's inputs."""
    conditions = {"prompt": asked(backbone), "none": backbone._without(asked(backbone))}
    guider.set_state(step=0, num_inference_steps=4, timestep=torch.tensor(400))
    states = guider.prepare_inputs({"key": ("prompt", "none")})
    for state in states:
        guider.prepare_models(backbone.unet)
        condition = conditions[state.key]
        state.noise_pred = backbone.unet(
            x,
            torch.tensor([400]),
            condition.text.tokens,
            added_cond_kwargs=backbone._added(condition),
            return_dict=False,
        )[0]
        guider.cleanup_models(backbone.unet)
    answer: Tensor = guider(states).pred
    return answer


@pytest.mark.parametrize("omega", [0.0, 0.5, 1.0])
@torch.no_grad()
def test_it_is_the_rule_and_leaves_the_scales_as_they_were(
    sdxl: SdxlBackbone, omega: float
) -> None:
    weights, x = {"db": 0.8}, sdxl.noise(seeded(3))
    add_trained(sdxl, "db")
    rule = parse(f"pg:scale={SCALE},omega={omega}")
    asks = rule.asks(asked(sdxl), sdxl._without, weights)
    expected = rule.combine(sdxl._answers(x, torch.tensor([400]), asks), Place(0.4))
    sdxl._switches.turn(Acting(weights, sdxl.image_scale))
    before = [dict(layer.scaling) for layer in sdxl._switches._adapted]
    ours = guided(sdxl, PersonalizationGuidance(SCALE, omega), x)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert [dict(layer.scaling) for layer in sdxl._switches._adapted] == before


def test_its_settings_are_kept_as_those_of_diffusers_own() -> None:
    assert PersonalizationGuidance(4.5, omega=0.2).new(guidance_scale=3.0).config.omega == 0.2
