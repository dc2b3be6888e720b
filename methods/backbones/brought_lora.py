"""LoRAs that other code made, under any naming that diffusers knows and on whatever layers.

An adapter trained here acts where its method says; one that was made elsewhere acts wherever its
file says, as in diffusers' own pipelines.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import FluxPipeline, SanaPipeline, StableDiffusionXLPipeline
from safetensors import SafetensorError
from torch import Tensor

from bench.errors import UserError
from bench.methods.backbones import lora

FLUX_LAYERS = (
    r"x_embedder"
    r"|transformer_blocks\.\d+\.(norm1(_context)?\.linear|attn\.(to_[qkv]|add_[qkv]_proj|to_out\.0"
    r"|to_add_out)|ff(_context)?\.net\.(0\.proj|2))"
    r"|single_transformer_blocks\.\d+\.(norm\.linear|proj_mlp|proj_out|attn\.to_[qkv])"
)
"""What ``conditioned.velocity`` applies adapters to: all that is commonly trained."""
_FACTOR = r"{}\.(?P<layer>{})(\.|_)(lora_[AB]|lora\.(up|down))\.weight"
MISFITS = (KeyError, TypeError, ValueError, RuntimeError, AttributeError, SafetensorError)


@dataclass(frozen=True)
class _Family:
    """How files of a network are read: the pipeline that knows them, and their name for it."""

    pipeline: Any
    prefix: str
    layers: str = r".+"


_FAMILIES = {
    # the reader of SD-XL is that of SD 1 and 2, and knows one naming more
    "UNet2DConditionModel": _Family(StableDiffusionXLPipeline, "unet"),
    "SanaTransformer2DModel": _Family(SanaPipeline, "transformer"),
    "FluxTransformer2DModel": _Family(FluxPipeline, "transformer", FLUX_LAYERS),
}


def load(network: Any, name: str, path: Path) -> None:
    """Put a file's LoRA beside what is there, in fp32 and at the strength that the file states.

    UserError when the file cannot be read, was made for another network, is no plain LoRA, or
    holds more than the network's.
    """
    family = _FAMILIES[type(network).__name__]
    tensors, alphas, config = _read(network, family, path)
    _check(tensors, family, path)
    try:
        with lora.beside_others():
            network.load_lora_adapter(
                tensors,
                prefix=family.prefix,
                adapter_name=name,
                network_alphas=alphas or None,
                metadata=config,
            )
    except MISFITS as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} was made for another network, or is damaged ({reason}); give a LoRA of this "
            "backbone."
        ) from error
    if len(lora.adapter_parameters(network, name)) != len(tensors):
        network.delete_adapters(name)
        raise UserError(
            f"{path} adapts layers that this backbone has not; give a LoRA of this backbone."
        )
    lora.keep_in("fp32", network, name)
    lora.freeze(network)


def _read(network: Any, family: _Family, path: Path) -> tuple[dict[str, Tensor], Any, Any]:
    """Weights as diffusers names them, alphas that stand beside them, configuration if stated."""
    with lora.opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads((file.metadata() or {}).get(lora.METADATA, "null"))
    if odd := [key for key in tensors if "dora_scale" in key or "lora_magnitude" in key]:
        raise UserError(
            f"{path} is a DoRA ('{odd[0]}'), whose strength is none of its weights; give a LoRA."
        )
    try:
        return *_converted(network, family, tensors), config
    except MISFITS as error:
        raise UserError(
            f"{path} names its weights as no LoRA that diffusers knows ({error}); convert it to "
            "diffusers' form."
        ) from error


def _converted(network: Any, family: _Family, tensors: dict[str, Tensor]) -> tuple[Any, Any]:
    """Each pipeline has an argument of its own, and SANA's reads no alphas."""
    match family.pipeline:
        case pipeline if pipeline is FluxPipeline:
            read: tuple[Any, Any] = pipeline.lora_state_dict(tensors, return_alphas=True)
            return read
        case pipeline if pipeline is SanaPipeline:
            return pipeline.lora_state_dict(tensors), None
        case pipeline:
            read = pipeline.lora_state_dict(tensors, unet_config=network.config)
            return read


def _check(tensors: dict[str, Tensor], family: _Family, path: Path) -> None:
    if not any(key.startswith(f"{family.prefix}.") for key in tensors):
        raise UserError(f"{path} holds no LoRA of this backbone's network; give another file.")
    if taught := [key for key in tensors if key.startswith("text_encoder")]:
        raise UserError(
            f"{path} adapts a text encoder too ('{taught[0]}'), which no guidance here can weaken; "
            "give a LoRA of the network alone."
        )
    for key in tensors:
        if not re.fullmatch(_FACTOR.format(family.prefix, family.layers), key):
            raise UserError(
                f"{path} holds '{key}', which is no LoRA's factor on a layer that can be adapted "
                "here; give a plain LoRA of the network."
            )
