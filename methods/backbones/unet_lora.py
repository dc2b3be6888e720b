"""LoRA adapters on attention, in the form that diffusers' pipelines read and write."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save

from bench.errors import UserError
from bench.methods.backbones import lora
from bench.methods.backbones.backbone import Precision, Tokens
from bench.store import write_atomically

_IMAGE_PROMPT = r"processor\.to_[kv]_ip\.0"
TARGETS: dict[Tokens, str] = {
    "reference": rf".*\.attn2\.{_IMAGE_PROMPT}",
    "image": rf".*\.attn[12]\.(to_[qkv]|to_out\.0|{_IMAGE_PROMPT})",
}
"""The layers that an adapter adapts.

``reference``: keys and values of IP-Adapter's image prompt, all that the reference alone passes
through; ``image``: these and every projection of the UNet's self- and cross-attention.
"""
_KEY = r"{}\.(?P<layer>{})\.lora_(?P<side>[AB])\.weight"


@dataclass(frozen=True)
class Layers:
    """What may be adapted: patterns of layers' names, and what files call the network."""

    network: str
    targets: Mapping[Tokens, str]


UNET = Layers("unet", TARGETS)


def add_adapter(
    unet: Any,
    name: str,
    rank: int,
    seed: int,
    tokens: Tokens,
    precision: Precision = "fp32",
    layers: Layers = UNET,
) -> None:
    """Put a fresh adapter beside what is there: alpha = rank, A gaussian, B zero.

    UserError where ``tokens`` names layers that the network has not.
    """
    _require(unet, tokens, layers)
    target = layers.targets[tokens]
    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=target
    )
    with torch.random.fork_rng(devices=[]), lora.beside_others():
        torch.manual_seed(seed)
        unet.add_adapter(config, adapter_name=name)
    lora.keep_in(precision, unet, name)
    lora.freeze(unet)


def save_adapter(unet: Any, name: str, path: Path, layers: Layers = UNET) -> None:
    """Write one adapter as safetensors that ``load_lora_weights`` of a stock pipeline reads."""
    state = get_peft_model_state_dict(unet, adapter_name=name)
    own = layers.network
    tensors = {f"{own}.{key}": value.detach().cpu().contiguous() for key, value in state.items()}
    config = unet.peft_config[name].to_dict()
    plain = {key: sorted(v) if isinstance(v, set) else v for key, v in config.items()}
    packed = {f"{own}.{key}": value for key, value in plain.items()}
    described = json.dumps(packed, sort_keys=True, default=str)
    write_atomically(path, save(tensors, {lora.METADATA: described}))


def load_adapter(
    unet: Any,
    name: str,
    path: Path,
    tokens: Tokens,
    precision: Precision = "fp32",
    layers: Layers = UNET,
) -> None:
    """Read an adapter that ``save_adapter`` or diffusers wrote.

    UserError when the file is missing, damaged, made for another network, or adapts other layers
    than those of ``tokens``.
    """
    _check(unet, path, tokens, layers)
    with lora.beside_others():
        unet.load_lora_adapter(
            path.parent,
            weight_name=path.name,
            prefix=layers.network,
            adapter_name=name,
            local_files_only=True,
        )
    lora.keep_in(precision, unet, name)
    lora.freeze(unet)


def _require(unet: Any, tokens: Tokens, layers: Layers) -> None:
    target = layers.targets[tokens]
    if not any(re.fullmatch(target, layer) for layer, _ in unet.named_modules()):
        raise UserError(
            "This backbone has no image prompt, so that no adapter can act on the reference's "
            "tokens alone; set the option tokens=image."
        )


def _check(unet: Any, path: Path, tokens: Tokens, layers: Layers) -> None:
    with lora.opened(path) as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    if not any(".lora_A." in key for key in shapes):
        raise UserError(
            f"{path} holds no LoRA in diffusers' form for this network; give another file."
        )
    modules = dict(unet.named_modules())
    ranks: dict[str, dict[str, int]] = {"A": {}, "B": {}}
    for key, shape in shapes.items():
        match = re.fullmatch(_KEY.format(layers.network, layers.targets[tokens]), key)
        if not match:
            raise UserError(
                f"{path} adapts '{key}', which tokens={tokens} does not name; give a LoRA of these "
                "layers, or the tokens that it was trained with."
            )
        layer, side = match["layer"], match["side"]
        features, axis = ("in_features", 1) if side == "A" else ("out_features", 0)
        if shape[axis] != getattr(modules.get(layer), features, None):
            raise UserError(
                f"{path} was made for another backbone ('{key}' does not fit); give this one's."
            )
        ranks[side][layer] = shape[1 - axis]
    if ranks["A"] != ranks["B"]:
        raise UserError(f"{path} lacks halves of its factors; fetch or save it anew.")
