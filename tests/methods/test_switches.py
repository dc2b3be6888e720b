"""Which adapters act is an argument of every call, also of recomputed activations."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench.methods.backbones import sdxl as module
from bench.methods.backbones.backbone import Tokens
from bench.methods.backbones.sdxl import SdxlBackbone
from tests.methods.tiny_sdxl import (
    RESOLUTION,
    add_trained,
    answered,
    asked,
    seeded,
    stock,
)

pytest_plugins = ["tests.methods.sdxl_fixtures"]


@pytest.mark.parametrize("tokens", ["reference", "image"])
def test_a_fresh_adapter_changes_nothing(sdxl: SdxlBackbone, tokens: Tokens) -> None:
    before = answered(sdxl, {})
    sdxl.add_adapter("sfo", 4, 0, tokens)
    assert torch.equal(answered(sdxl, {"sfo": 1.0}), before)
    assert not any(parameter.requires_grad for parameter in sdxl.unet.parameters())


def test_an_adapter_that_is_taken_away_leaves_nothing_and_frees_its_name(
    sdxl: SdxlBackbone,
) -> None:
    before = answered(sdxl, {})
    add_trained(sdxl, "kept", seed=1)
    kept = answered(sdxl, {"kept": 1.0})
    add_trained(sdxl, "sfo", seed=2)
    sdxl.remove_adapter("sfo")
    assert not sdxl.adapter_parameters("sfo")
    assert torch.equal(answered(sdxl, {"kept": 1.0}), kept)
    sdxl.add_adapter("sfo", 2, 0)
    assert torch.equal(answered(sdxl, {"sfo": 1.0}), before)
    with pytest.raises(ValueError, match="no such adapter on the backbone: none"):
        sdxl.remove_adapter("none")


def test_only_the_adapters_that_are_named_act_and_they_add_up(sdxl: SdxlBackbone) -> None:
    before = answered(sdxl, {})
    add_trained(sdxl, "one", seed=1)
    one = answered(sdxl, {"one": 1.0})
    add_trained(sdxl, "two", seed=2)
    both = answered(sdxl, {"one": 1.0, "two": 1.0})
    assert torch.equal(answered(sdxl, {}), before)
    assert torch.equal(answered(sdxl, {"one": 1.0}), one)
    assert (one - before).abs().max() > 0.01 and (both - one).abs().max() > 0.01


def test_a_scale_multiplies_what_an_adapter_adds(sdxl: SdxlBackbone) -> None:
    add_trained(sdxl, "sfo")
    half = answered(sdxl, {"sfo": 0.5})
    for path, parameter in sdxl.adapter_parameters("sfo").items():
        if ".lora_B." in path:
            parameter.data /= 2
    torch.testing.assert_close(half, answered(sdxl, {"sfo": 1.0}))


def test_an_adapter_of_the_references_tokens_sits_on_the_image_prompt_alone(
    sdxl: SdxlBackbone,
) -> None:
    add_trained(sdxl, "sfo", "reference")
    layers = {path.split(".lora_")[0] for path in sdxl.adapter_parameters("sfo")}
    assert {layer.partition(".attn")[2] for layer in layers} == {
        "2.processor.to_k_ip.0",
        "2.processor.to_v_ip.0",
    }
    assert torch.equal(answered(sdxl, {"sfo": 1.0}, seen=False), answered(sdxl, {}, seen=False))
    assert not torch.equal(answered(sdxl, {"sfo": 1.0}), answered(sdxl, {}))


def test_an_adapter_of_the_image_sits_on_all_attention(sdxl: SdxlBackbone) -> None:
    sdxl.add_adapter("sfo", 4, 0, "image")
    layers = {path.split(".lora_")[0] for path in sdxl.adapter_parameters("sfo")}
    own = {f"{attention}.to_{part}" for attention in "12" for part in ("q", "k", "v", "out.0")}
    image_prompt = {"2.processor.to_k_ip.0", "2.processor.to_v_ip.0"}
    assert {layer.partition(".attn")[2] for layer in layers if "attn" in layer} == (
        own | image_prompt
    )


def test_on_a_bf16_network_adapters_are_kept_in_the_precision_asked_for(sdxl_home: Path) -> None:
    backbone = module.wrap(stock(sdxl_home).to(torch.bfloat16), "half", "digest", RESOLUTION)
    backbone.add_adapter("sfo", 4, 0)
    backbone.add_adapter("coarse", 4, 0, precision="bf16")
    dtypes = [
        {parameter.dtype for parameter in backbone.adapter_parameters(name).values()}
        for name in ("sfo", "coarse")
    ]
    assert dtypes == [{torch.float32}, {torch.bfloat16}]
    assert torch.isfinite(answered(backbone, {"sfo": 1.0, "coarse": 1.0})).all()


def test_an_adapter_that_is_not_there_is_an_error(sdxl: SdxlBackbone) -> None:
    with pytest.raises(ValueError, match="no such adapter on the backbone: sfo"):
        answered(sdxl, {"sfo": 1.0})


@pytest.mark.parametrize("tokens", ["reference", "image"])
def test_recomputed_activations_see_what_the_call_saw(sdxl: SdxlBackbone, tokens: Tokens) -> None:
    """Whatever is asked of the network between the call and its gradients."""
    add_trained(sdxl, "other")
    add_trained(sdxl, "sfo", tokens, seed=5)
    weights, blocks = {"sfo": 1.0, "other": 0.5}, counted(sdxl)

    def gradients() -> list[Tensor]:
        sdxl.unet.zero_grad()
        loss = answered(sdxl, weights).square().mean()
        with torch.no_grad():
            answered(sdxl.seeing(0.1), {"other": 1.0})
        loss.backward()
        return [parameter.grad.clone() for parameter in trained]

    trained = list(sdxl.adapter_parameters("sfo").values())
    for parameter in trained:
        parameter.requires_grad_(True)
    recomputed, forwards = gradients(), blocks()
    sdxl.unet.disable_gradient_checkpointing()
    kept = gradients()
    assert forwards > blocks() - forwards  # they were computed anew indeed
    assert all(gradient.abs().max() > 0 for gradient in kept)
    torch.testing.assert_close(recomputed, kept)


def counted(backbone: SdxlBackbone) -> Callable[[], int]:
    """How often the middle block's attention has been asked."""
    calls: list[int] = []
    backbone.unet.mid_block.attentions[0].transformer_blocks[0].register_forward_pre_hook(
        lambda *_: calls.append(1)
    )
    return lambda: len(calls)


def test_every_row_of_a_batch_may_have_a_scale_of_its_own(sdxl: SdxlBackbone) -> None:
    add_trained(sdxl, "db")
    x, t = sdxl.noise(seeded(3)).repeat(3, 1, 1, 1), torch.tensor([400] * 3)
    one = asked(sdxl)
    for rows in [(0.0, 0.6, 1.0), (1.0, 0.0, 1.0)]:
        together = sdxl._network(x, t, one.repeated(3), {"db": rows})
        alone = [sdxl._network(x[:1], t[:1], one, {"db": scale}) for scale in rows]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
    assert (alone[0] - alone[1]).abs().max() > 1e-3
