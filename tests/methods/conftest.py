"""Tiny random backbones: a mini, and a FLUX that is saved and loaded as the real one is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)
from PIL import Image
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from bench.api import Case, Question, Workspace
from bench.methods.backbones import flux_dev
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import MiniNetworks, assemble
from bench.methods.corpora import Triplet

RESOLUTION, MAX_TEXT = 16, 16
FLUX_DEV_SCHEDULE = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}


@pytest.fixture(scope="session")
def flux_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a FLUX pipeline where FLUX.1-dev belongs."""
    home = tmp_path_factory.mktemp("home")
    tiny_flux(FLUX_DEV_SCHEDULE, guided=True).save_pretrained(home / "weights" / "flux-dev")
    return home


def tiny_flux(schedule: dict[str, Any], guided: bool) -> FluxPipeline:
    """A pipeline of the real classes with random weights, always the same."""
    torch.manual_seed(0)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**schedule),
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(tiny_clip()),
        tokenizer=clip_tokenizer(),
        text_encoder_2=T5EncoderModel(
            T5Config(vocab_size=30, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
        ),
        tokenizer_2=t5_tokenizer(),
        transformer=tiny_transformer(guided),
    )


def tiny_transformer(guided: bool = True) -> FluxTransformer2DModel:
    return FluxTransformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        guidance_embeds=guided,
        axes_dims_rope=(4, 6, 6),
    )


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=2,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=0.36,
        shift_factor=0.11,
    )


def tiny_clip() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=54,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=1,
    )


def clip_tokenizer() -> CLIPTokenizer:
    """Letters only: what a token means plays no part in these tests."""
    words = ["<|startoftext|>", "<|endoftext|>"]
    words += [letter + end for letter in ascii_lowercase for end in ("", "</w>")]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def t5_tokenizer() -> T5TokenizerFast:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(letter, -3.0) for letter in ascii_lowercase]
    return T5TokenizerFast(vocab=special + letters, extra_ids=0)


@pytest.fixture
def flux(flux_home: Path, monkeypatch: pytest.MonkeyPatch) -> FluxBackbone:
    """The tiny FLUX, loaded by the same function as FLUX.1-dev."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(flux_home))
    return flux_dev.load(resolution=RESOLUTION, max_text=MAX_TEXT)


@pytest.fixture
def stock(flux_home: Path) -> FluxPipeline:
    """The same weights in diffusers' own pipeline."""
    pipeline = FluxPipeline.from_pretrained(flux_home / "weights" / "flux-dev")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def mini() -> FluxBackbone:
    """The mini backbone with random weights, so that every layer matters."""
    torch.manual_seed(0)
    return assemble(MiniNetworks().eval(), "test", None)


@pytest.fixture(params=["flux", "mini"])
def backbone(request: pytest.FixtureRequest) -> FluxBackbone:
    """Either of them: what holds for the family."""
    made: FluxBackbone = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def add_trained() -> Callable[..., None]:
    """``add_trained(backbone, name, rank, seed)``: an adapter whose B is not zero."""

    def add(backbone: FluxBackbone, name: str, rank: int = 4, seed: int = 0) -> None:
        backbone.add_adapter(name, rank, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        for path, parameter in backbone.adapter_parameters(name).items():
            if ".lora_B." in path:
                nn.init.normal_(parameter, std=0.3, generator=generator)

    return add


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A fresh run; ``workspace.log`` says nothing."""
    return Workspace(tmp_path / "run", tmp_path / "cache", lambda event: None)


class Colours:
    """A corpus of plain squares, each triplet of its own colour; its target is darker."""

    identity = "colours"

    def __init__(self, size: int, subjects: int) -> None:
        self.size, self.subjects = size, subjects

    def __len__(self) -> int:
        return self.subjects

    def __getitem__(self, index: int) -> Triplet:
        reference = self.plain(200 - index)
        return Triplet(reference, self.plain(100 - index), f"a mug in snow {index}", "a mug")

    def plain(self, level: int) -> Image.Image:
        return Image.new("RGB", (self.size, self.size), (level, level // 2, 40))


@pytest.fixture
def colours() -> Callable[..., Any]:
    """``colours(size, subjects)``: a corpus."""
    return Colours


@pytest.fixture
def question() -> Question:
    """One case, asked with a plain reference."""
    case = Case(
        suite="mini@1",
        subject="mug-01",
        prompt_index=0,
        prompt="a mug on the beach",
        name="mug",
        reference="00.png",
        seed=0,
    )
    return Question(case, Image.new("RGB", (40, 32), (180, 60, 30)))


@pytest.fixture
def events(workspace: Workspace) -> tuple[Workspace, list[Mapping[str, Any]]]:
    """A workspace and what is logged to it."""
    log: list[Mapping[str, Any]] = []
    return replace(workspace, log=log.append), log
