"""Our forward pass against OminiControl's, written anew the plain way, and against diffusers'."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from diffusers import FluxPipeline
from torch import Tensor, nn
from torch.nn import functional as F

from bench.methods.backbones.backbone import Condition, Text
from bench.methods.backbones.flux import Conditioning, FluxBackbone, position_ids
from bench.methods.backbones.flux_dev import DEV
from bench.methods.backbones.flux_hub import wrap
from tests.methods.ominicontrol import Question, merged, reference_velocity

AddTrained = Callable[..., None]
BOTH = {"sft": 1.0, "sfo": 0.7}


@pytest.fixture
def question(flux: FluxBackbone) -> Question:
    """Noisy images, timesteps and a condition with references, of two samples."""
    text = flux.encode_prompts(["a red mug on the beach", "a blue mug in snow"])
    generator = torch.Generator().manual_seed(7)
    x, reference = torch.randn(2, 2, 16, 16, generator=generator)
    return x, torch.tensor([0.8, 0.35]), Condition(text, reference)


@torch.no_grad()
def test_two_adapters_give_what_ominicontrol_gives_branch_by_branch(
    flux: FluxBackbone, stock: FluxPipeline, question: Question, add_trained: AddTrained
) -> None:
    add_trained(flux, "sft", rank=4, seed=1)
    add_trained(flux, "sfo", rank=8, seed=2)
    adapted = merged(stock.transformer, flux, BOTH)
    expected = reference_velocity(stock.transformer, adapted, question, Conditioning())
    ours = flux.predict(*question, BOTH, guidance=3.5)
    assert (ours - expected).norm() / expected.norm() < 1e-5
    plain = reference_velocity(stock.transformer, stock.transformer, question, Conditioning())
    assert (plain - expected).norm() / expected.norm() > 1e-2  # the adapters do matter here


CONVENTIONS = [
    Conditioning(position="right"),
    Conditioning(independent=True),
    Conditioning(position="right", independent=True),
]


@torch.no_grad()
@pytest.mark.parametrize("conditioning", CONVENTIONS, ids=str)
def test_other_conventions_give_what_ominicontrol_gives_under_its_masks(
    flux: FluxBackbone,
    stock: FluxPipeline,
    question: Question,
    add_trained: AddTrained,
    conditioning: Conditioning,
) -> None:
    add_trained(flux, "sft", rank=4, seed=1)
    add_trained(flux, "sfo", rank=8, seed=2)
    usual = flux.predict(*question, BOTH, guidance=3.5)
    flux.conditioning = conditioning
    adapted = merged(stock.transformer, flux, BOTH)
    expected = reference_velocity(stock.transformer, adapted, question, conditioning)
    ours = flux.predict(*question, BOTH, guidance=3.5)
    assert (ours - expected).norm() / expected.norm() < 1e-5
    assert (ours - usual).norm() / expected.norm() > 1e-3  # what it was trained with matters


@torch.no_grad()
def test_without_a_reference_it_is_diffusers_own_forward(
    flux: FluxBackbone, stock: FluxPipeline, question: Question, add_trained: AddTrained
) -> None:
    add_trained(flux, "sft")
    x, t, condition = question
    text = condition.text
    expected = stock.transformer(
        x,
        text.tokens,
        text.pooled,
        t,
        position_ids(4),
        torch.zeros(text.tokens.shape[1], 3),
        torch.full((2,), 3.5),
        return_dict=False,
    )[0]
    ours = flux.predict(x, t, Condition(text, None), {"sft": 1.0}, guidance=3.5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_a_fresh_adapter_changes_nothing(backbone: FluxBackbone) -> None:
    x, t, condition = small_question(backbone)
    before = backbone.predict(x, t, condition)
    backbone.add_adapter("sft", 4, seed=0)
    assert torch.equal(backbone.predict(x, t, condition, {"sft": 1.0}), before)


@torch.no_grad()
def test_an_adapter_acts_through_the_reference_alone(
    backbone: FluxBackbone, add_trained: AddTrained
) -> None:
    add_trained(backbone, "sft")
    x, t, condition = small_question(backbone)
    alone = Condition(condition.text, None)
    assert torch.equal(backbone.predict(x, t, alone, {"sft": 1}), backbone.predict(x, t, alone))
    with_reference = backbone.predict(x, t, condition, {"sft": 1})
    assert not torch.allclose(with_reference, backbone.predict(x, t, condition), atol=1e-3)


@torch.no_grad()
def test_only_reference_tokens_pass_through_an_adapter(
    backbone: FluxBackbone, add_trained: AddTrained
) -> None:
    add_trained(backbone, "sft")
    x, t, condition = small_question(backbone)
    layers = {
        path: module
        for path, module in backbone.transformer.named_modules()
        if path.endswith(".lora_A.sft")
    }
    with recorded(layers) as calls:
        backbone.predict(x, t, condition, {"sft": 1.0})
    assert {path: len(inputs) for path, inputs in calls.items()} == dict.fromkeys(layers, 1)
    assert condition.reference is not None
    assert torch.equal(calls["x_embedder.lora_A.sft"][0][0], condition.reference)


@torch.no_grad()
def test_an_adapter_that_is_not_named_is_off(
    backbone: FluxBackbone, add_trained: AddTrained
) -> None:
    add_trained(backbone, "sft", seed=1)
    x, t, condition = small_question(backbone)
    before = backbone.predict(x, t, condition, {"sft": 1.0})
    add_trained(backbone, "sfo", rank=16, seed=2)
    assert torch.equal(backbone.predict(x, t, condition, {"sft": 1.0}), before)
    assert not torch.allclose(backbone.predict(x, t, condition, BOTH), before, atol=1e-3)


@torch.no_grad()
def test_the_scale_of_an_adapter_is_linear_in_its_layers(
    backbone: FluxBackbone, add_trained: AddTrained
) -> None:
    add_trained(backbone, "sft")
    x, t, condition = small_question(backbone)
    half = backbone.predict(x, t, condition, {"sft": 0.5})
    for path, parameter in backbone.adapter_parameters("sft").items():
        if ".lora_B." in path:
            parameter.data /= 2
    torch.testing.assert_close(backbone.predict(x, t, condition, {"sft": 1.0}), half)


@torch.no_grad()
def test_the_reference_is_clean_unguided_and_to_the_left(
    flux: FluxBackbone, question: Question
) -> None:
    network = flux.transformer
    watched = {"time": network.time_text_embed, "positions": network.pos_embed}
    with recorded(watched) as calls:
        flux.predict(*question, guidance=3.5)
    (image_t, image_guidance, _), (reference_t, reference_guidance, _) = calls["time"]
    assert image_t.tolist() == pytest.approx([800, 350])
    assert image_guidance.tolist() == [3500, 3500]
    assert reference_t.tolist() == [0, 0]
    assert reference_guidance.tolist() == [1000, 1000]
    text_ids, image_ids, reference_ids = calls["positions"][0][0].split([16, 16, 16])
    assert not text_ids.any()
    assert image_ids.tolist() == [[0, row, column] for row in range(4) for column in range(4)]
    assert torch.equal(reference_ids, image_ids - torch.tensor([0, 0, 4]))


@pytest.mark.parametrize("independent", [False, True])
def test_gradient_checkpointing_changes_no_gradient(
    flux: FluxBackbone, question: Question, add_trained: AddTrained, independent: bool
) -> None:
    add_trained(flux, "sft")
    flux.conditioning = Conditioning(independent=independent)
    assert flux.transformer.is_gradient_checkpointing
    recomputed = gradients(flux, question)
    flux.transformer.disable_gradient_checkpointing()
    kept = gradients(flux, question)
    assert kept.keys() == recomputed.keys() and len(kept) > 40
    for path, gradient in kept.items():
        torch.testing.assert_close(recomputed[path], gradient, msg=path)
        assert gradient.any() or "single_transformer_blocks.1" in path, path


def test_a_bf16_base_carries_an_fp32_adapter(
    flux: FluxBackbone, stock: FluxPipeline, question: Question, add_trained: AddTrained
) -> None:
    half_flux = wrap(DEV, stock.to(torch.bfloat16), "test", resolution=16)
    for backbone in (flux, half_flux):
        add_trained(backbone, "sft")
    x, t, condition = question
    exact = gradients(flux, question)
    text = Text(condition.text.tokens.bfloat16(), condition.text.pooled.bfloat16())
    assert condition.reference is not None
    half = Condition(text, condition.reference.bfloat16())
    rough = gradients(half_flux, (x.bfloat16(), t, half))
    assert half_flux.dtype == torch.bfloat16
    assert {gradient.dtype for gradient in rough.values()} == {torch.float32}
    assert exact.keys() == rough.keys()
    for side in (flat(exact), flat(rough)):
        assert side.isfinite().all()
    assert F.cosine_similarity(flat(exact), flat(rough), dim=0) > 0.98


# --- helpers --------------------------------------------------------------------------------------


def small_question(backbone: FluxBackbone) -> Question:
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    x, reference = backbone.noise(generators), backbone.noise(generators)
    text = backbone.encode_prompts(["a red mug on the beach", "a blue mug in snow"])
    return x, torch.tensor([0.8, 0.35]), Condition(text, reference)


def gradients(backbone: FluxBackbone, question: Question) -> dict[str, Tensor]:
    parameters = backbone.adapter_parameters("sft")
    for parameter in parameters.values():
        parameter.requires_grad_(True)
        parameter.grad = None
    backbone.predict(*question, {"sft": 1.0}).float().square().mean().backward()
    return {
        path: parameter.grad for path, parameter in parameters.items() if parameter.grad is not None
    }


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients.values()])


@contextmanager
def recorded(modules: dict[str, nn.Module]) -> Iterator[dict[str, list[tuple[Tensor, ...]]]]:
    """The positional inputs of every call of these modules."""
    calls: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in modules}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: calls[name].append(inputs))
        for name, module in modules.items()
    ]
    yield calls
    for hook in hooks:
        hook.remove()
