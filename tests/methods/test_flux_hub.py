"""What FLUX's releases share, held on a tiny FLUX saved to disk: coding, digests, damage."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline

from bench.errors import UserError
from bench.methods.backbones import flux_dev
from bench.methods.backbones.flux import FluxBackbone, pack, unpack
from bench.methods.backbones.flux_hub import _digest, digest_of

PROMPT = "a red mug on the beach"


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


@pytest.mark.parametrize("seeds", [(1, 2), (3, 4)])
def test_latents_are_drawn_anew_from_kept_moments(
    flux: FluxBackbone, seeds: tuple[int, int]
) -> None:
    """Exactly as if the images were encoded again: what a training keeps costs it nothing."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    moments = flux.moments(images)
    assert moments.shape == (2, 2 * 4, 8, 8)
    drawn = flux.latents(moments, [torch.Generator().manual_seed(seed) for seed in seeds])
    encoded = flux.encode_images(images, [torch.Generator().manual_seed(seed) for seed in seeds])
    assert torch.equal(drawn, encoded)
    others = flux.latents(moments, [torch.Generator().manual_seed(9) for _ in seeds])
    assert not torch.allclose(others, drawn)


def test_what_encodes_can_be_put_aside(flux: FluxBackbone) -> None:
    """Held with the device that only knows shapes: what is encoded goes there, and no more."""
    flux.encoders_to("meta")
    assert len(flux._encoders) == 3
    for encoder in flux._encoders:
        assert {parameter.device.type for parameter in encoder.parameters()} == {"meta"}
    assert flux.moments(torch.rand(1, 3, 16, 16)).device.type == "meta"
    assert {parameter.device.type for parameter in flux.transformer.parameters()} == {"cpu"}


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
    before = digest_of(folder)
    assert before == digest_of(flux_home / "weights" / "flux-dev")
    weights = next((folder / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    assert digest_of(folder) != before


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
    assert _digest(link) == "ab" * 32
    assert digest_of(tmp_path / "snapshot") != digest_of(tmp_path / "plain")


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
    with pytest.raises(UserError, match=r"'flux-dev' at .* are damaged or incomplete"):
        flux_dev.load()
