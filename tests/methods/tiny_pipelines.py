"""Tiny random weights of the stock pipelines, saved to disk as the real ones are published."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxControlNetModel, FluxKontextPipeline, FluxPipeline
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

from bench.api import Case, Question
from tests.methods.conftest import tiny_clip
from tests.networks import picture

PARTS = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
WIDTH, TEXT_WIDTH, CLIP_WIDTH, EXTRA = 32, 32, 24, 4
"""Of the tiny FLUX, of its text tokens, of CLIP's features; and the ControlNet's mask channels."""


def beside_flux(flux_home: Path, home: Path) -> Path:
    """A home that holds the tiny FLUX.1-dev already."""
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "flux-dev").symlink_to(flux_home / "weights" / "flux-dev")
    return home


def stock(home: Path) -> FluxPipeline:
    """The tiny FLUX.1-dev in diffusers' own pipeline."""
    pipeline = FluxPipeline.from_pretrained(home / "weights" / "flux-dev")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def parts(home: Path) -> dict[str, Any]:
    """What every FLUX pipeline is made of."""
    pipeline = stock(home)
    return {name: getattr(pipeline, name) for name in (*PARTS, "transformer")}


def save_kontext(home: Path) -> None:
    """As black-forest-labs/FLUX.1-Kontext-dev."""
    FluxKontextPipeline(**parts(home)).save_pretrained(home / "weights" / "flux-kontext")


def save_ip_adapter(home: Path) -> None:
    """As XLabs-AI/flux-ip-adapter, and CLIP as openai/clip-vit-large-patch14: both its towers."""
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        projection_dim=CLIP_WIDTH,
    )
    config = CLIPConfig(
        text_config=tiny_clip().to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=CLIP_WIDTH,
    )
    torch.manual_seed(1)
    CLIPModel(config).save_pretrained(home / "weights" / "clip-vit-large-patch14")
    state = {
        "ip_adapter_proj_model.proj.weight": torch.randn(4 * TEXT_WIDTH, CLIP_WIDTH),
        "ip_adapter_proj_model.proj.bias": torch.randn(4 * TEXT_WIDTH),
        "ip_adapter_proj_model.norm.weight": torch.ones(TEXT_WIDTH),
        "ip_adapter_proj_model.norm.bias": torch.zeros(TEXT_WIDTH),
    }
    for block in range(2):
        for kind in "kv":
            name = f"double_blocks.{block}.processor.ip_adapter_double_stream_{kind}_proj"
            state[f"{name}.weight"] = torch.randn(WIDTH, TEXT_WIDTH)
            state[f"{name}.bias"] = torch.randn(WIDTH)
    save_file(state, home / "weights" / "flux-ip-adapter.safetensors")


def tiny_controlnet() -> FluxControlNetModel:
    """The stock network with the mask's channels, as the published weights have them."""
    torch.manual_seed(2)
    network = FluxControlNetModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=0,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=TEXT_WIDTH,
        pooled_projection_dim=32,
        guidance_embeds=True,
        axes_dims_rope=[4, 6, 6],
    )
    network.controlnet_x_embedder = nn.Linear(16 + EXTRA, WIDTH)
    for layer in network.controlnet_blocks:
        nn.init.normal_(layer.weight)
    return network.eval()


def save_controlnet(home: Path) -> None:
    """As alimama-creative/FLUX.1-dev-Controlnet-Inpainting-Beta."""
    network, folder = tiny_controlnet(), home / "weights" / "flux-inpainting"
    folder.mkdir()
    config = {**network.config, "extra_condition_channels": EXTRA}
    (folder / "config.json").write_text(json.dumps(config))
    state: dict[str, Tensor] = network.state_dict()
    save_file(state, folder / "diffusion_pytorch_model.safetensors")


def question(seed: int = 0, size: tuple[int, int] = (24, 24), prompt: str = "a mug") -> Question:
    """About a photograph in which every pixel is its own."""
    case = Case(
        suite="mini@1",
        subject="mug-000",
        prompt_index=0,
        prompt=prompt,
        name="red mug",
        reference="00.png",
        seed=seed,
    )
    return Question(case, photograph(size))


def photograph(size: tuple[int, int] = (24, 24)) -> Image.Image:
    return picture(size, seed=5)
