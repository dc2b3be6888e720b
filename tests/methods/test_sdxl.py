"""SD-XL's path, held on a tiny SD-XL and IP-Adapter saved to disk, beside diffusers' pipeline."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from bench.api import Question
from bench.errors import UserError
from bench.methods.backbones import sdxl as module
from bench.methods.backbones.backbone import OFF, Backbone, Condition, Text
from bench.methods.backbones.sdxl import PLAIN, PLUS, SdxlBackbone
from bench.methods.sampling import to_tensor
from bench.methods.sfo import Sfo, SfoOptions
from tests.methods.test_sfo import write_subjects
from tests.methods.tiny_sdxl import (
    PHOTOGRAPH,
    PROMPT,
    RESOLUTION,
    asked,
    drawn,
    seeded,
    stock,
)
from tests.methods.tiny_trainings import TINY, Events, losses
from tests.networks import picture

pytest_plugins = ["tests.methods.sdxl_fixtures"]
LOADERS = {"sdxl": (module.load, PLAIN), "sdxl-ip-adapter-plus": (module.load_plus, PLUS)}


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


def test_without_a_reference_it_is_the_plain_sd_xl(
    bare_sdxl: SdxlBackbone, sdxl_home: Path
) -> None:
    noise, text = bare_sdxl.noise(seeded(3)), bare_sdxl.encode_prompts([PROMPT])
    expected = drawn(stock(sdxl_home, None), noise, 5.0)
    ours = bare_sdxl.decode(
        bare_sdxl.sample(Condition(text, None), noise, OFF, steps=4, guidance=5.0)
    )
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_latents_are_sampled_from_the_posterior_with_each_images_own_generator(
    bare_sdxl: SdxlBackbone, sdxl_pipeline: StableDiffusionXLPipeline
) -> None:
    images = torch.rand(2, 3, RESOLUTION, RESOLUTION, generator=seeded(0)[0])
    both = bare_sdxl.encode_images(images, seeded(1, 2))
    vae = sdxl_pipeline.vae
    posterior = vae.encode(images[1:] * 2 - 1).latent_dist
    expected = posterior.sample(seeded(2)[0]).detach() * vae.config.scaling_factor
    torch.testing.assert_close(both[1:], expected)


def test_an_image_depends_on_nothing_that_is_drawn_beside_it(bare_sdxl: SdxlBackbone) -> None:
    images = to_tensor([PHOTOGRAPH, picture((RESOLUTION, RESOLUTION), seed=1)], RESOLUTION)
    text = bare_sdxl.encode_prompts([PROMPT, "a dog"])
    both = Condition(text, bare_sdxl.encode_references(images, seeded(0, 0)))
    second = Condition(Text(text.tokens[1:], text.pooled[1:]), both.reference[1:])
    together = bare_sdxl.sample(both, bare_sdxl.noise(seeded(1, 2)), OFF, steps=2, guidance=5.0)
    alone = bare_sdxl.sample(second, bare_sdxl.noise(seeded(2)), OFF, steps=2, guidance=5.0)
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=1e-5)


def test_sfo_trains_beside_ip_adapter_and_resumes(
    sdxl_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: Events,
    question: Question,
) -> None:
    """Its reference model is IP-Adapter itself: no SFT LoRA comes into it."""
    (tmp_path / "weights").symlink_to(sdxl_home / "weights")
    write_subjects(tmp_path / "data" / "subjects200k" / "train-00000.parquet")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    workspace, log = events
    options = SfoOptions(**{**TINY, **Sfo.overrides["sdxl"]})
    images, trained = [], []
    for _ in range(2):
        method = Sfo(module.load(resolution=RESOLUTION), options)
        method.train(workspace)
        images.append(method.generate([question])[0].tobytes())
        trained.append(len(losses(log, "sfo")))
    assert method.weights == {"sfo": 1.0}
    assert losses(log, "sfo")[0] == pytest.approx(math.log(2), abs=1e-6)
    assert trained[0] == trained[1] and images[0] == images[1]
