"""Comparative trainings in no time: a small random backbone, few pairs, few steps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch import nn

from bench.api import Progress, Question, Workspace
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import MiniNetworks, assemble
from bench.methods.dpo_dino import DpoDino
from bench.methods.self_play import SelfPlay
from bench.methods.sfo import Sfo
from bench.methods.sfo_direct import SfoDirect
from bench.methods.sft_additional import SftAdditional
from bench.methods.tuning import Tuned

Events = tuple[Workspace, list[Mapping[str, Any]]]
COMPARED = (Sfo, SfoDirect, SelfPlay, DpoDino)
FAMILY = (*COMPARED, SftAdditional)
TINY: Mapping[str, Any] = {
    "steps": 2,
    "sft_iterations": 2,
    "sft_batch": 1,
    "rank": 4,
    "iterations": 4,
    "batch": 2,
    "micro_batch": 1,
    "negatives": 3,
    "d0": 1e-3,
}


def fresh() -> FluxBackbone:
    """The same small random mini backbone, as a new process would load it."""
    torch.manual_seed(0)
    networks = MiniNetworks()
    networks.transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=48,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=32,
        num_attention_heads=1,
        joint_attention_dim=96,
        pooled_projection_dim=96,
        guidance_embeds=False,
        axes_dims_rope=(4, 14, 14),
    )
    return assemble(networks.eval(), "test", None)


def given_adapter(folder: Path) -> Path:
    """An SFT LoRA that matters, in a file."""
    path = folder / "given.safetensors"
    if not path.exists():
        donor = fresh()
        donor.add_adapter("sft", 4, seed=0)
        generator = torch.Generator().manual_seed(1)
        for name, parameter in donor.adapter_parameters("sft").items():
            if ".lora_B." in name:
                nn.init.normal_(parameter, std=0.3, generator=generator)
        donor.save_adapter("sft", path)
    return path


def tiny(factory: type[Tuned], adapter: Path, **options: Any) -> Tuned:
    """A method on a backbone of its own, with its SFT LoRA given."""
    return factory(fresh(), factory.Options(**{**TINY, "adapter": adapter, **options}))


def pixels(method: Any, question: Question) -> bytes:
    (image,) = method.generate([question])
    content: bytes = image.tobytes()
    return content


def losses(log: list[Mapping[str, Any]], name: str) -> list[float]:
    return [event["loss"] for event in log if event["event"] == f"train {name}"]


class Killed(BaseException):
    """Stands for a kill."""


def kill_at(at: str, after: int) -> Progress:
    def progress(title: str, done: int, total: int) -> None:
        if (title, done) == (at, after):
            raise Killed

    return progress
