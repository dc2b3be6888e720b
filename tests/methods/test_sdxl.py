"""SD-XL's path, held on a tiny SD-XL and IP-Adapter saved to disk, beside diffusers' pipeline."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler, EulerDiscreteScheduler, StableDiffusionXLPipeline
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones import sdxl as module
from bench.methods.backbones.backbone import OFF, Backbone, Condition, Text, Tokens
from bench.methods.backbones.sdxl import PLAIN, PLUS, SdxlBackbone
from bench.methods.comparative import Comparison
from bench.methods.examples import Batch
from bench.methods.objectives import Timesteps, preference, squared_error
from bench.methods.sampling import to_tensor
from tests.methods.tiny_sdxl import RESOLUTION, SCHEDULE, save_sdxl, stock
from tests.networks import picture

PROMPT = "a red mug on the beach"
PHOTOGRAPH = picture((RESOLUTION, RESOLUTION))
LOADERS = {"sdxl": (module.load, PLAIN), "sdxl-ip-adapter-plus": (module.load_plus, PLUS)}


@pytest.fixture(scope="session")
def sdxl_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sdxl")
    save_sdxl(home)
    return home


@pytest.fixture(scope="session")
def bare(sdxl_home: Path) -> SdxlBackbone:
    """Loaded by the same function as SD-XL base 1.0; nobody puts an adapter in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
        return module.load(resolution=RESOLUTION)


@pytest.fixture
def sdxl(sdxl_home: Path, monkeypatch: pytest.MonkeyPatch) -> SdxlBackbone:
    """The same, to be changed."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
    return module.load(resolution=RESOLUTION)


@pytest.fixture(scope="session")
def pipeline(sdxl_home: Path) -> StableDiffusionXLPipeline:
    """The same weights in diffusers' own pipeline; nobody changes it."""
    made = stock(sdxl_home)
    made.set_ip_adapter_scale(0.6)
    return made


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def asked(backbone: SdxlBackbone, prompt: str = PROMPT) -> Condition:
    reference = backbone.encode_references(to_tensor([PHOTOGRAPH], RESOLUTION), seeded(0))
    return Condition(backbone.encode_prompts([prompt]), reference)


def answered(backbone: SdxlBackbone, weights: dict[str, float], seen: bool = True) -> Tensor:
    """What the network answers, adapters named, at one fixed point."""
    condition = asked(backbone)
    condition = condition if seen else Condition(condition.text, None)
    x, t = backbone.noise(seeded(3)), torch.tensor([0.4])
    answer: Tensor = backbone.predict(x, t, condition, weights)
    return answer


def add_trained(backbone: SdxlBackbone, name: str, tokens: Tokens = "image", seed: int = 0) -> None:
    backbone.add_adapter(name, 4, seed, tokens)
    generator = torch.Generator().manual_seed(seed + 1)
    for path, parameter in backbone.adapter_parameters(name).items():
        if ".lora_B." in path:
            nn.init.normal_(parameter, std=0.3, generator=generator)


# Loading


@pytest.mark.parametrize("name", LOADERS)
def test_it_is_loaded_as_what_it_is_with_sd_xls_sampling(
    sdxl_home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
    backbone = LOADERS[name][0](resolution=RESOLUTION)
    spec = backbone.spec
    assert isinstance(backbone, Backbone)
    assert (spec.name, spec.steps, spec.guidance) == (name, 50, 5.0)
    assert (spec.corpus, spec.batch, spec.mini) == ("subjects200k", 1, False)
    assert spec.sees_references and backbone.image_scale == 0.6
    assert backbone.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in backbone.unet.parameters())


def test_the_digest_is_of_all_three_weights_and_of_nothing_beside_them(
    sdxl_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sdxl_home, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    folder = tmp_path / "weights"
    before = module.load(RESOLUTION).spec.digest
    shutil.copy(
        folder / "sdxl/vae/diffusion_pytorch_model.safetensors", folder / "sdxl/other.safetensors"
    )
    assert module.load(RESOLUTION).spec.digest == before
    found = {before}
    parts = ("sdxl/vae/diffusion_pytorch_model", PLAIN.adapter, f"{PLAIN.encoder}/model")
    for file in parts:
        path = folder / f"{file}.safetensors"
        tensors = load_file(path)
        tensors[min(tensors)] += 1
        save_file(tensors, path, {"format": "pt"})
        found.add(module.load(RESOLUTION).spec.digest)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        ("sdxl", ("Open RAIL++-M", "13.9 GB")),
        (PLAIN.adapter, ("Apache-2.0", "703 MB")),
        (PLAIN.encoder, ("Apache-2.0", "3.69 GB")),
    ],
)
def test_what_is_missing_is_named_with_licence_size_and_command(
    sdxl_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    absent: str,
    said: tuple[str, str],
) -> None:
    shutil.copytree(sdxl_home, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "weights").glob(f"{absent}*"):
        path.rename(tmp_path / path.name)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match=f"bench weights fetch {absent}") as error:
        module.load()
    assert all(part in str(error.value) for part in said)


@pytest.mark.parametrize(
    "file",
    [
        "sdxl/unet/diffusion_pytorch_model.safetensors",
        f"{PLAIN.adapter}.safetensors",
        f"{PLAIN.encoder}/model.safetensors",
    ],
)
def test_weights_that_are_not_whole_are_one_clear_sentence(
    sdxl_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    shutil.copytree(sdxl_home, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "weights" / file
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    name = file.partition("/")[0].removesuffix(".safetensors")
    with pytest.raises(UserError, match=f"damaged or incomplete.*bench weights fetch {name}'"):
        module.load()


# The same as diffusers' pipeline


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_images_are_those_of_the_stock_pipeline(
    sdxl_home: Path, monkeypatch: pytest.MonkeyPatch, name: str, guidance: float
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(sdxl_home))
    load, prompt = LOADERS[name]
    backbone, pipeline = load(resolution=RESOLUTION), stock(sdxl_home, prompt)
    pipeline.set_ip_adapter_scale(0.6)
    noise, condition = backbone.noise(seeded(3)), asked(backbone)
    expected = drawn(pipeline, noise, guidance, ip_adapter_image=PHOTOGRAPH)
    ours = backbone.decode(backbone.sample(condition, noise, OFF, steps=4, guidance=guidance))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    blind = Condition(condition.text, None)
    unlike = backbone.decode(backbone.sample(blind, noise, OFF, steps=4, guidance=guidance))
    assert (unlike - ours).abs().max() > 1e-3  # the photograph does count


def test_without_a_reference_it_is_the_plain_sd_xl(bare: SdxlBackbone, sdxl_home: Path) -> None:
    noise, text = bare.noise(seeded(3)), bare.encode_prompts([PROMPT])
    expected = drawn(stock(sdxl_home, None), noise, 5.0)
    ours = bare.decode(bare.sample(Condition(text, None), noise, OFF, steps=4, guidance=5.0))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def drawn(
    pipeline: StableDiffusionXLPipeline, noise: Tensor, guidance: float, **arguments: Any
) -> Tensor:
    images: Tensor = pipeline(
        PROMPT,
        height=RESOLUTION,
        width=RESOLUTION,
        num_inference_steps=4,
        guidance_scale=guidance,
        latents=noise,
        output_type="pt",
        **arguments,
    ).images
    return images


def test_latents_are_sampled_from_the_posterior_with_each_images_own_generator(
    bare: SdxlBackbone, pipeline: StableDiffusionXLPipeline
) -> None:
    images = torch.rand(2, 3, RESOLUTION, RESOLUTION, generator=seeded(0)[0])
    both = bare.encode_images(images, seeded(1, 2))
    vae = pipeline.vae
    posterior = vae.encode(images[1:] * 2 - 1).latent_dist
    expected = posterior.sample(seeded(2)[0]).detach() * vae.config.scaling_factor
    torch.testing.assert_close(both[1:], expected)


def test_an_image_depends_on_nothing_that_is_drawn_beside_it(bare: SdxlBackbone) -> None:
    images = to_tensor([PHOTOGRAPH, picture((RESOLUTION, RESOLUTION), seed=1)], RESOLUTION)
    text = bare.encode_prompts([PROMPT, "a dog"])
    both = Condition(text, bare.encode_references(images, seeded(0, 0)))
    second = Condition(Text(text.tokens[1:], text.pooled[1:]), both.reference[1:])
    together = bare.sample(both, bare.noise(seeded(1, 2)), OFF, steps=2, guidance=5.0)
    alone = bare.sample(second, bare.noise(seeded(2)), OFF, steps=2, guidance=5.0)
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=1e-5)


# Noise, v and timesteps


@pytest.fixture
def v_predicting(sdxl_home: Path) -> SdxlBackbone:
    pipeline = stock(sdxl_home)
    pipeline.scheduler = EulerDiscreteScheduler(**SCHEDULE, prediction_type="v_prediction")
    return module.wrap(pipeline, "v", "digest", RESOLUTION)


def test_noised_and_target_are_those_of_diffusers(
    bare: SdxlBackbone, v_predicting: SdxlBackbone
) -> None:
    scheduler = DDPMScheduler.from_config(EulerDiscreteScheduler(**SCHEDULE).config)
    clean, noise = bare.noise(seeded(0, 1, 2, 3)), bare.noise(seeded(4, 5, 6, 7))
    numbers = torch.tensor([0, 17, 500, 999])
    t = (numbers + 0.5) / 1000
    expected = scheduler.add_noise(clean, noise, numbers)
    torch.testing.assert_close(bare.noised(clean, noise, t), expected, rtol=0, atol=1e-6)
    assert torch.equal(bare.target(clean, noise, t), noise)
    v = scheduler.get_velocity(clean, noise, numbers)
    torch.testing.assert_close(v_predicting.target(clean, noise, t), v, rtol=0, atol=1e-6)


def test_noise_is_added_by_the_published_schedule(bare: SdxlBackbone) -> None:
    """The square root of beta rises linearly from sqrt(0.00085) to sqrt(0.012) in 1000 steps."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha = torch.cumprod(1 - betas, 0)[250].item()
    one = torch.ones(1, 4, 2, 2)
    mixed = bare.noised(one, 2 * one, torch.tensor([0.2505]))
    expected = math.sqrt(alpha) + 2 * math.sqrt(1 - alpha)
    torch.testing.assert_close(mixed, torch.full_like(one, expected), rtol=0, atol=1e-5)


@given(st.integers(0, 999))
def test_every_integer_timestep_has_its_thousandth_of_t(number: int) -> None:
    inside = torch.tensor([number + 0.001, number + 0.5, number + 0.999]) / 1000
    schedule = SdxlBackbone.__new__(SdxlBackbone)
    schedule._noising = DDPMScheduler(num_train_timesteps=1000)
    assert schedule.timesteps(inside).tolist() == [number] * 3


def test_uniform_draws_hit_every_timestep_whatever_the_networks_precision(
    sdxl_home: Path,
) -> None:
    pipeline = stock(sdxl_home).to(torch.bfloat16)
    backbone = module.wrap(pipeline, "half", "digest", RESOLUTION)
    clean = backbone.encode_images(torch.rand(1, 3, RESOLUTION, RESOLUTION), seeded(0))
    t = Timesteps("uniform").draw(20_000, seeded(0)[0]).to(clean)
    assert set(backbone.timesteps(t).tolist()) == set(range(1000))
    assert backbone.timesteps(torch.ones(1)).item() == 999
    condition, noise = asked(backbone), backbone.noise(seeded(1))
    assert (backbone.dtype, clean.dtype, noise.dtype) == (torch.bfloat16, *[torch.float32] * 2)
    assert backbone.predict(noise, t[:1], condition).dtype == torch.float32
    assert backbone.codec.vae.dtype == torch.float32  # force_upcast


# Adapters


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
def test_a_stock_pipeline_loads_what_we_save_and_draws_the_same(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path, tokens: Tokens
) -> None:
    add_trained(sdxl, "sfo", tokens)
    path = tmp_path / "sfo.safetensors"
    sdxl.save_adapter("sfo", path)
    pipeline = stock(sdxl_home)
    pipeline.set_ip_adapter_scale(0.6)
    noise = sdxl.noise(seeded(3))
    without = drawn(pipeline, noise, 5.0, ip_adapter_image=PHOTOGRAPH)
    pipeline.load_lora_weights(tmp_path, weight_name=path.name, adapter_name="sfo")
    expected = drawn(pipeline, noise, 5.0, ip_adapter_image=PHOTOGRAPH)
    ours = sdxl.decode(sdxl.sample(asked(sdxl), noise, {"sfo": 1.0}, steps=4, guidance=5.0))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert (expected - without).abs().max() > 1e-3


def test_what_a_stock_pipeline_saves_is_loaded_and_ours_has_its_names(
    sdxl: SdxlBackbone, sdxl_home: Path, tmp_path: Path
) -> None:
    add_trained(sdxl, "sfo")
    sdxl.save_adapter("sfo", tmp_path / "ours.safetensors")
    saved = load_file(tmp_path / "ours.safetensors")
    StableDiffusionXLPipeline.save_lora_weights(
        tmp_path,
        unet_lora_layers={key.removeprefix("unet."): value for key, value in saved.items()},
        weight_name="theirs.safetensors",
    )
    assert load_file(tmp_path / "theirs.safetensors").keys() == saved.keys()
    sdxl.load_adapter("again", tmp_path / "theirs.safetensors", "image")
    assert torch.equal(answered(sdxl, {"again": 1.0}), answered(sdxl, {"sfo": 1.0}))
    assert not any(parameter.requires_grad for parameter in sdxl.unet.parameters())


def test_saving_twice_gives_the_same_bytes(sdxl: SdxlBackbone, tmp_path: Path) -> None:
    add_trained(sdxl, "sfo")
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    sdxl.save_adapter("sfo", first)
    sdxl.load_adapter("again", first, "image")
    sdxl.save_adapter("again", second)
    assert second.read_bytes() == first.read_bytes()


Damage = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda tensors: {"decoder": torch.zeros(2)}, "holds no LoRA in diffusers' form"),
        (lambda tensors: {key: v.repeat(2, 2) for key, v in tensors.items()}, "another backbone"),
        (
            lambda tensors: {
                key.replace("processor.to_k_ip.0", "to_k"): v for key, v in tensors.items()
            },
            "tokens=reference does not name",
        ),
        (
            lambda tensors: {key: v for key, v in tensors.items() if "lora_A" in key},
            "lacks halves",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_and_leave_no_trace(
    sdxl: SdxlBackbone, tmp_path: Path, damage: Damage, said: str
) -> None:
    path = tmp_path / "sfo.safetensors"
    sdxl.add_adapter("sfo", 4, 0)
    sdxl.save_adapter("sfo", path)
    save_file(damage(load_file(path)), path)
    with pytest.raises(UserError, match=said):
        sdxl.load_adapter("again", path)
    assert not sdxl.adapter_parameters("again")


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_file_that_cannot_be_read_is_one_clear_sentence(
    sdxl: SdxlBackbone, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "sfo.safetensors"
    sdxl.add_adapter("sfo", 4, 0)
    sdxl.save_adapter("sfo", path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match=r"Cannot read the adapter .*sfo\.safetensors"):
        sdxl.load_adapter("again", path)


# Training


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


def test_the_first_comparison_with_ip_adapter_itself_is_ln_2_and_training_lowers_it(
    sdxl: SdxlBackbone,
) -> None:
    sdxl.add_adapter("sfo", 4, 0, "image")
    parameters = list(sdxl.adapter_parameters("sfo").values())
    optimiser = torch.optim.AdamW([p.requires_grad_(True) for p in parameters], lr=1e-2)
    images = torch.rand(2, 3, RESOLUTION, RESOLUTION, generator=seeded(8)[0])
    positives, negatives = sdxl.encode_images(images, seeded(1, 2)).chunk(2)
    batch = Batch(asked(sdxl), positives, negatives)
    objective = Comparison(reference=OFF, policy={"sfo": 1.0}, beta=1000.0)
    losses = []
    for _ in range(4):
        loss, _ = objective(sdxl, batch, seeded(9)[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)
    assert losses[-1] < losses[0] - 0.01


def test_on_errors_of_noise_the_loss_is_diffusion_dpos() -> None:
    """Errors 0.3 and 0.5 now, 0.4 and 0.45 before: -log sigmoid(-beta / 2 (-0.2 + 0.05))."""
    noise = torch.zeros(1, 4, 2, 2)
    now, before = [
        [squared_error(noise + error**0.5, noise) for error in errors]
        for errors in ((0.3, 0.5), (0.4, 0.45))
    ]
    result = preference((now[0], now[1]), (before[0], before[1]), 20.0, "diffusion-dpo")
    assert result.loss.item() == pytest.approx(math.log1p(math.exp(-1.5)), abs=1e-6)
    doubled = preference((now[0], now[1]), (before[0], before[1]), 20.0, "sfo")
    assert doubled.loss.item() == pytest.approx(math.log1p(math.exp(-3.0)), abs=1e-6)
