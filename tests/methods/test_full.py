"""Full weights: their scale interpolates, gradients reach them, their files are diffusers'."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench import registry
from bench.errors import UserError
from bench.methods.backbones.backbone import OFF, Condition, Text, Weights
from bench.methods.backbones.full import interpolated
from bench.methods.guidance import parse
from tests.methods import tiny_text_backbones
from tests.methods.conftest import MAX_TEXT, RESOLUTION
from tests.methods.tiny_sdxl import PROMPT, seeded
from tests.methods.tiny_trainings import fresh

FULL: Weights = {"own": 1.0}
KEYS_AND_VALUES = r".*\.attn2\.to_[kv]\.weight"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("home")
    tiny_text_backbones.save(made)
    return made


@pytest.fixture(params=["mini", "sd15", "sd21-768", "sana"])
def sampler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A flow of FLUX's kind, noise, v and SANA's flow."""
    return made(request.param, request, monkeypatch)


@pytest.fixture(params=["mini", "sd15", "sana"])
def backbone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One of each kind of network."""
    return made(request.param, request, monkeypatch)


def made(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if name == "mini":
        return fresh()
    flux = name == "flux-dev"
    home = request.getfixturevalue("flux_home" if flux else "home")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(home))
    sizes = {"max_text": MAX_TEXT} if flux else {}
    side = RESOLUTION if flux else tiny_text_backbones.SIDE
    backbone = registry.load("backbone", name)(resolution=side, **sizes)
    for value in backbone._body.parameters():
        # the last bits of a product depend on how a file's tensors are aligned in memory
        value.data = value.data.clone()
    return backbone


@pytest.fixture(params=["full", "lora"])
def tune(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """``tune(backbone)``: an adapter of either kind under the name own, somewhere else."""
    return tuned_fully if request.param == "full" else tuned_by_lora


def tuned_fully(backbone: Any, name: str = "own", seed: int = 1) -> None:
    backbone.add_weights(name)
    moved(backbone.adapter_parameters(name), 0.05, seed)


def tuned_by_lora(backbone: Any, name: str = "own") -> None:
    backbone.add_adapter(name, 4, 0, "image")
    moved(backbone.adapter_parameters(name), 0.2)


def moved(parameters: dict[str, Any], by: float, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in parameters.values():
        value.data += by * torch.randn(value.shape, generator=generator)


def told(backbone: Any, prompt: str = PROMPT) -> Condition:
    return Condition(backbone.encode_prompts([prompt]), None)


def answer(backbone: Any, weights: Weights) -> Tensor:
    x, t = backbone.noise(seeded(3)), torch.tensor([0.4])
    with torch.no_grad():
        found: Tensor = backbone.predict(x, t, told(backbone), weights)
    return found


def sampled(backbone: Any, rule: str, weights: Weights = FULL) -> Tensor:
    noise = backbone.noise(seeded(3))
    latents: Tensor = backbone.sample(told(backbone), noise, weights, 2, 1.0, parse(rule))
    return latents


def test_pg_is_cfg_at_omega_1_to_the_bit(sampler: Any, tune: Callable[[Any], None]) -> None:
    tune(sampler)
    cfg = sampled(sampler, "cfg:5")
    assert torch.equal(sampled(sampler, "pg:scale=5,omega=1"), cfg)
    between = sampled(sampler, "pg:scale=5,omega=0.5")
    assert (between - cfg).abs().max() > 1e-4
    assert (between - sampled(sampler, "pg:scale=5,omega=0")).abs().max() > 1e-4


def test_at_omega_0_the_weak_model_is_the_pre_trained_one_to_the_bit(
    sampler: Any, tune: Callable[[Any], None]
) -> None:
    """Also when the fine-tuned one has just been asked."""
    x, t = sampler.noise(seeded(3)), torch.tensor([0.4])
    pretrained = sampler.predict(x, t, sampler._without(told(sampler)))
    tune(sampler)
    weak, strong = parse("pg:omega=0").asks(told(sampler), sampler._without, FULL)
    tuned = sampler.predict(x, t, weak.condition, strong.weights)
    assert torch.equal(sampler.predict(x, t, weak.condition, weak.weights), pretrained)
    assert (tuned - pretrained).abs().max() > 1e-4


def test_between_they_are_the_networks_own_interpolated(backbone: Any) -> None:
    tuned_fully(backbone)
    ours = [answer(backbone, {"own": scale}) for scale in (0.0, 0.3, 1.0)]
    network = backbone._body
    own = {name: value.clone() for name, value in network.state_dict().items()}
    tuned = backbone.adapter_parameters("own")
    assert tuned.keys() == own.keys()
    for scale, found in zip((0.0, 0.3, 1.0), ours, strict=True):
        state = {name: own[name] + scale * (tuned[name] - own[name]) for name in own}
        network.load_state_dict(tuned if scale == 1 else state)
        torch.testing.assert_close(answer(backbone, OFF), found, rtol=0, atol=1e-6)
    assert torch.equal(answer(backbone, OFF), ours[2]), "at 1 to the bit"


@given(st.floats(0, 1), st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2), st.booleans())
def test_interpolation_ends_where_it_should(scale: float, values: list[float], half: bool) -> None:
    own = torch.tensor([values[0]]).to(torch.bfloat16 if half else torch.float32)
    other = torch.tensor([values[1]])
    assert interpolated(own, []) is own
    assert torch.equal(interpolated(own, [(other, 1.0)]), other.to(own))
    between = interpolated(own, [(other, scale)])
    exact = torch.lerp(own.double(), other.double(), scale)
    torch.testing.assert_close(between, exact.to(own), rtol=2e-2 if half else 1e-5, atol=1e-5)


def test_two_of_them_and_a_lora_add_up(backbone: Any) -> None:
    tuned_fully(backbone, "one", seed=2)
    tuned_by_lora(backbone, "lora")
    tuned_fully(backbone, "two", seed=3)
    ours = answer(backbone, {"one": 0.5, "lora": 1.0, "two": 2.0})
    one, two = (backbone.adapter_parameters(name) for name in ("one", "two"))
    assert one.keys() == two.keys(), "one named before the LoRA was there, the other after"
    state = backbone._body.state_dict()
    for name, value in one.items():
        own = state[name if name in state else ".base_layer.".join(name.rsplit(".", 1))]
        own += 0.5 * (value - own) + 2 * (two[name] - own)
    torch.testing.assert_close(answer(backbone, {"lora": 1.0}), ours, rtol=0, atol=1e-4)


def test_training_moves_the_copy_alone(backbone: Any) -> None:
    """And every loss sees what was trained so far, though nothing is asked for anew."""
    backbone.add_weights("own")
    plain = answer(backbone, OFF)
    assert torch.equal(answer(backbone, FULL), plain)
    trained = backbone.adapter_parameters("own")
    for value in trained.values():
        value.requires_grad_(True)
    optimiser = torch.optim.AdamW(list(trained.values()), lr=1e-3)
    losses = [stepped(backbone, optimiser) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
    assert torch.equal(answer(backbone, OFF), plain)
    assert all(value.grad is None for value in backbone._body.parameters())


def stepped(backbone: Any, optimiser: torch.optim.Optimizer) -> float:
    loss = loss_of(backbone, FULL)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def loss_of(backbone: Any, weights: Weights) -> Tensor:
    x, t = backbone.noise(seeded(3)), torch.tensor([0.4])
    predicted: Tensor = backbone.predict(x, t, told(backbone), weights)
    target: Tensor = backbone.noise(seeded(4))
    return (predicted - target).square().mean()


@pytest.mark.parametrize(
    ("name", "scale"), [("flux-dev", 0.5), ("sd15", 1.0), ("sd15", 0.5), ("sana", 1.0)]
)
def test_recomputed_activations_see_the_weights_of_the_call(
    name: str, scale: float, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked of the network between the call and its gradients."""
    backbone = made(name, request, monkeypatch)
    tuned_fully(backbone)
    trained = backbone.adapter_parameters("own")
    for value in trained.values():
        value.requires_grad_(True)

    def gradients() -> dict[str, Tensor]:
        loss = loss_of(backbone, {"own": scale})
        answer(backbone, OFF)
        found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
        return {path: g for path, g in zip(trained, found, strict=True) if g is not None}

    assert backbone._body.is_gradient_checkpointing
    recomputed = gradients()
    backbone._body.disable_gradient_checkpointing()
    kept = gradients()
    assert kept.keys() == recomputed.keys() and len(kept) > 0.9 * len(trained)
    for path, gradient in kept.items():
        torch.testing.assert_close(recomputed[path], gradient, msg=path)


def test_a_bf16_network_is_tuned_in_fp32(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients reach what is tuned through the cast."""
    backbone = made("sd15", request, monkeypatch)
    backbone.unet.to(torch.bfloat16)
    backbone.add_weights("own", KEYS_AND_VALUES)
    tuned = backbone.adapter_parameters("own")
    assert {value.dtype for value in tuned.values()} == {torch.float32}
    for value in tuned.values():
        value.requires_grad_(True)
    text = told(backbone).text
    half = Condition(Text(text.tokens.bfloat16(), text.pooled), None)
    x = backbone.noise(seeded(3))
    backbone.predict(x, torch.tensor([0.4]), half, FULL).square().mean().backward()
    assert all(value.grad.abs().max() > 0 for value in tuned.values())


def test_a_part_of_the_network_can_be_tuned(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = made("sd15", request, monkeypatch)
    backbone.add_weights("own", KEYS_AND_VALUES)
    tuned = backbone.adapter_parameters("own")
    assert tuned and all(
        path.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) for path in tuned
    )


def test_what_is_saved_is_read_again_and_by_the_stock_network(
    backbone: Any, tmp_path: Path
) -> None:
    tuned_fully(backbone)
    ours, file = answer(backbone, FULL), tmp_path / "own.safetensors"
    backbone.save_adapter("own", file)
    content = file.read_bytes()
    backbone.remove_adapter("own")
    with pytest.raises(ValueError, match="no such adapter on the backbone: own"):
        answer(backbone, FULL)
    backbone.load_weights("own", file)
    assert torch.equal(answer(backbone, FULL), ours)
    backbone.save_adapter("own", file)
    assert file.read_bytes() == content
    backbone._body.load_state_dict(load_file(file), strict=True)
    assert torch.equal(answer(backbone, OFF), ours)


@pytest.mark.parametrize("shards", ["10GB", "20KB"])
def test_networks_are_read_as_diffusers_saves_them(
    backbone: Any, shards: str, tmp_path: Path
) -> None:
    """Its own folder or a pipeline's, in one file or several."""
    tuned_fully(backbone)
    ours = answer(backbone, FULL)
    own = {name: value.clone() for name, value in backbone._body.state_dict().items()}
    backbone._body.load_state_dict(backbone.adapter_parameters("own"))
    folder = "transformer" if hasattr(backbone, "transformer") else "unet"
    backbone._body.save_pretrained(tmp_path / folder, max_shard_size=shards)
    backbone._body.load_state_dict(own)
    assert len([*(tmp_path / folder).glob("*.safetensors")]) == 1 or shards == "20KB"
    for path in (tmp_path, tmp_path / folder):
        backbone.load_weights("brought", path)
        assert torch.equal(answer(backbone, {"brought": 1.0}), ours)
        backbone.remove_adapter("brought")


def test_files_that_do_not_fit_are_refused_in_one_sentence(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backbone = made("sd15", request, monkeypatch)
    state = backbone.unet.state_dict()
    name = "conv_in.bias"
    wrong = {
        "shape": ({name: torch.zeros(3)}, rf"made for another backbone \('{name}' does not fit\)"),
        "name": ({"head.weight": state[name]}, r"made for another backbone \('head.weight'"),
    }
    for kind, (tensors, said) in wrong.items():
        save_file(tensors, tmp_path / f"{kind}.safetensors")
        with pytest.raises(UserError, match=said):
            backbone.load_weights("own", tmp_path / f"{kind}.safetensors")
    part = tmp_path / "part" / "unet"
    part.mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no network as diffusers saves it"):
        backbone.load_weights("own", tmp_path / "part")
    save_file({name: state[name]}, part / "diffusion_pytorch_model.safetensors")
    with pytest.raises(UserError, match=r"part lacks 'conv_in.weight'; fetch or save it anew\.$"):
        backbone.load_weights("own", tmp_path / "part")
    (tmp_path / "text.safetensors").write_text("no tensors")
    for absent in ("text.safetensors", "gone.safetensors"):
        with pytest.raises(UserError, match=rf"^Cannot read the adapter .*{absent}"):
            backbone.load_weights("own", tmp_path / absent)
    assert not backbone.adapter_parameters("own")


def test_a_name_is_given_once(backbone: Any) -> None:
    backbone.add_weights("own")
    with pytest.raises(ValueError, match="the backbone has weights of that name: own"):
        backbone.add_weights("own")
