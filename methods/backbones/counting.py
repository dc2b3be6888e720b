"""Networks counted from their configurations alone: the real classes on torch's meta device.

``python -m bench.methods.backbones.counting bench/cost/networks.json`` counts the public ones anew.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import SanaTransformer2DModel, UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.sana_transformer import SanaTransformerBlock
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.cost.networks import Counted
from bench.methods.backbones.sana import LAYERS
from bench.methods.backbones.unet_lora import UNET

BLOCKS = (ResnetBlock2D, BasicTransformerBlock, SanaTransformerBlock)
"""What trainings keep the output of; all within is computed anew."""
UNET_FACTOR, SANA_FACTOR = 8, 32
"""Pixels to a side of one place of a latent."""
SDXL: Mapping[str, Any] = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SD15: Mapping[str, Any] = {"cross_attention_dim": 768}
SD21: Mapping[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}


@dataclass(frozen=True)
class Released:
    """A network as published: its class and where its configuration is not that class's default.

    ``resolution`` in pixels, ``text`` in tokens.
    """

    kind: Any
    resolution: int
    config: Mapping[str, Any] = field(default_factory=dict)
    text: int = 77


RELEASED = {
    "sd15": Released(UNet2DConditionModel, 512, SD15),
    "instruct-pix2pix": Released(UNet2DConditionModel, 512, {**SD15, "in_channels": 8}),
    "sd21": Released(UNet2DConditionModel, 512, SD21),
    "sd21-768": Released(UNet2DConditionModel, 768, SD21),
    "sd-turbo": Released(UNet2DConditionModel, 512, SD21),
    "sdxl": Released(UNet2DConditionModel, 1024, SDXL),
    "sdxl-turbo": Released(UNet2DConditionModel, 512, SDXL),
    "sana": Released(SanaTransformer2DModel, 1024, text=300),
    "sana-512": Released(SanaTransformer2DModel, 512, text=300),
}
"""By backbone. Source: the configuration files of the releases."""


def count_folder(folder: Path, resolution: int, text: int) -> Counted:
    """The network of a folder that diffusers saved; only its config.json is read.

    KeyError for a class that is not counted here.
    """
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    classes = {kind.__name__: kind for kind in (UNet2DConditionModel, SanaTransformer2DModel)}
    config = {name: value for name, value in told.items() if not name.startswith("_")}
    return count(Released(classes[told["_class_name"]], resolution, config, text))


def count(released: Released) -> Counted:
    """One image, one pass; a multiplication and an addition are two operations."""
    with torch.device("meta"):
        network = released.kind.from_config(dict(released.config))
        inputs = _inputs(network, released)
        borders = _watch(network)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(**inputs)
    return Counted(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        operations=counter.get_total_flops(),
        lora=_lora(network),
        kept=sum(borders),
        widest=max(borders),
        prompt_numbers=inputs["encoder_hidden_states"].numel(),
    )


def _watch(network: nn.Module) -> list[int]:
    """Fills with how many numbers each block puts out."""
    seen: list[int] = []
    for module in network.modules():
        if isinstance(module, BLOCKS):
            module.register_forward_hook(lambda _, __, out: seen.append(out.numel()))
    return seen


def _lora(network: nn.Module) -> int:
    """Parameters of a LoRA of rank 1 on what trainings adapt."""
    layers = LAYERS if isinstance(network, SanaTransformer2DModel) else UNET
    wanted = re.compile(layers.targets["image"])
    return sum(
        module.in_features + module.out_features
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and wanted.fullmatch(name)
    )


def _inputs(network: Any, released: Released) -> dict[str, Any]:
    config, sana = network.config, released.kind is SanaTransformer2DModel
    side = released.resolution // (SANA_FACTOR if sana else UNET_FACTOR)
    width = config.caption_channels if sana else config.cross_attention_dim
    said: dict[str, Any] = {
        "timestep": torch.zeros(1),
        "encoder_hidden_states": torch.zeros(1, released.text, width),
    }
    if sana:
        said["hidden_states"] = torch.zeros(1, config.in_channels, side, side)
        return {**said, "encoder_attention_mask": torch.zeros(1, released.text)}
    said["sample"] = torch.zeros(1, config.in_channels, side, side)
    return {**said, "added_cond_kwargs": _added(config)}


def _added(config: Any) -> dict[str, Tensor]:
    """What SD-XL is told beside the prompt's tokens: its pooled embedding, and six sizes."""
    if config.addition_embed_type != "text_time":
        return {}
    sizes = 6
    pooled = config.projection_class_embeddings_input_dim - sizes * config.addition_time_embed_dim
    return {"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, sizes)}


if __name__ == "__main__":
    found = {name: asdict(count(released)) for name, released in RELEASED.items()}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
