"""FLUX.1-dev's path, held on a tiny FLUX saved to disk: loading, coding, sampling, digests."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from bench.errors import UserError
from bench.methods.backbones import flux_dev
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone, pack, unpack

PROMPT = "a red mug on the beach"


def test_it_is_loaded_as_flux_dev_with_the_papers_sampling(flux: FluxBackbone) -> None:
    spec = flux.spec
    assert (spec.name, spec.steps, spec.guidance) == ("flux-dev", 28, 3.5)
    assert (spec.corpus, spec.mini, spec.sft) == ("subjects200k", False, None)
    assert flux.dtype == torch.float32
    assert not any(parameter.requires_grad for parameter in flux.transformer.parameters())


def test_our_sampler_draws_what_flux_pipeline_draws(
    flux: FluxBackbone, stock: FluxPipeline
) -> None:
    expected = stock(
        PROMPT,
        height=16,
        width=16,
        num_inference_steps=6,
        guidance_scale=3.5,
        max_sequence_length=16,
        generator=torch.Generator().manual_seed(11),
        output_type="latent",
    ).images
    noise = flux.noise([torch.Generator().manual_seed(11)])
    condition = Condition(flux.encode_prompts([PROMPT]), None)
    ours = flux.sample(condition, noise, {}, steps=6, guidance=3.5)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    weaker = flux.sample(condition, noise, {}, steps=6, guidance=1.0)
    assert (weaker - expected).abs().max() > 1e-3  # guidance does reach the network


def test_the_schedule_is_flux_pipelines_at_the_real_size(
    flux: FluxBackbone, stock: FluxPipeline
) -> None:
    """1024 tokens at 512 pixels: mu is 0.63."""
    flux._side = 32
    ours = flux.schedule(28).timesteps / 1000
    plain = torch.linspace(1, 1 / 28, 28)
    shift = torch.tensor(0.63).exp()
    torch.testing.assert_close(ours, shift * plain / (1 + (shift - 1) * plain))


def test_decoding_is_the_pipelines(flux: FluxBackbone, stock: FluxPipeline) -> None:
    tokens = flux.noise([torch.Generator().manual_seed(1)])
    latents = stock._unpack_latents(tokens, 16, 16, stock.vae_scale_factor)
    latents = latents / stock.vae.config.scaling_factor + stock.vae.config.shift_factor
    image = stock.vae.decode(latents, return_dict=False)[0]
    expected = stock.image_processor.postprocess(image.detach(), output_type="pt")
    torch.testing.assert_close(flux.decode(tokens), expected)


def test_encoding_samples_the_posterior_with_each_images_own_generator(
    flux: FluxBackbone, stock: FluxPipeline
) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    both = flux.encode_images(images, [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    alone = flux.encode_images(images[1:], [torch.Generator().manual_seed(2)])
    torch.testing.assert_close(both[1:], alone)
    posterior = stock.vae.encode(images[1:] * 2 - 1).latent_dist
    latents = posterior.sample(torch.Generator().manual_seed(2))
    latents = (latents - stock.vae.config.shift_factor) * stock.vae.config.scaling_factor
    expected = stock._pack_latents(latents, 1, 4, 8, 8)
    torch.testing.assert_close(alone, expected.detach())


def test_packing_is_flux_pipelines_and_reversible() -> None:
    latents = torch.arange(2 * 4 * 8 * 8.0).reshape(2, 4, 8, 8)
    tokens = pack(latents, 2)
    assert torch.equal(tokens, FluxPipeline._pack_latents(latents, 2, 4, 8, 8))
    assert torch.equal(unpack(tokens, 2), latents)
    assert torch.equal(unpack(pack(latents, 4), 4), latents)


@torch.no_grad()
def test_prompts_are_encoded_as_by_the_pipeline(flux: FluxBackbone, stock: FluxPipeline) -> None:
    tokens, pooled, _ = stock.encode_prompt(["a mug", PROMPT], None, max_sequence_length=16)
    text = flux.encode_prompts(["a mug", PROMPT])
    assert torch.equal(text.tokens, tokens) and torch.equal(text.pooled, pooled)


def test_the_digest_is_of_the_weights(flux_home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_home / "weights" / "flux-dev", tmp_path / "flux-dev")
    before = flux_dev.digest_of(folder)
    assert before == flux_dev.digest_of(flux_home / "weights" / "flux-dev")
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    assert flux_dev.digest_of(folder) != before


def test_the_hub_caches_blob_names_are_trusted_as_digests(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab" * 32)
    link = tmp_path / "snapshot" / "vae" / "model.safetensors"
    for path in (blob, link):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"not that digest")
    link.symlink_to(blob)
    plain = tmp_path / "plain" / "vae" / "model.safetensors"
    plain.parent.mkdir(parents=True)
    plain.write_bytes(b"not that digest")
    assert flux_dev._digest(link) == "ab" * 32
    assert flux_dev.digest_of(tmp_path / "snapshot") != flux_dev.digest_of(tmp_path / "plain")


def test_a_missing_flux_names_licence_command_size_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError) as error:
        flux_dev.load()
    for part in ("Non-Commercial", "bench weights fetch flux-dev", "34 GB", "bench weights add"):
        assert part in str(error.value)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_flux_that_is_not_whole_is_one_clear_sentence(
    flux_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = tmp_path / "weights" / "flux-dev"
    shutil.copytree(flux_home / "weights" / "flux-dev", folder)
    weights = next((folder / "transformer").glob("*.safetensors"))
    if damage == "missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-100])
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"flux-dev is damaged or incomplete; fetch it anew"):
        flux_dev.load()
