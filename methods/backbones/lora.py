"""LoRA adapters on FLUX's transformer, kept by PEFT and applied by ``conditioned.velocity``.

Which adapters act is an argument of every call, so PEFT's own notion of active adapters, and the
``requires_grad`` that comes with it, play no part here.
"""

import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.errors import UserError
from bench.methods.backbones.backbone import Precision
from bench.store import write_atomically

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
TARGETS = (
    r"x_embedder"
    r"|transformer_blocks\.\d+\.(norm1\.linear|attn\.to_[qkv]|attn\.to_out\.0|ff\.net\.2)"
    r"|single_transformer_blocks\.\d+\.(norm\.linear|proj_mlp|proj_out|attn\.to_[qkv])"
)
"""The layers that OminiControl adapts: the image stream's, never the text stream's."""
METADATA = "lora_adapter_metadata"
"""The entry of a file's header in which diffusers keeps a PEFT configuration."""
_KEY = re.compile(rf"transformer\.(?P<layer>{TARGETS})\.lora_(?P<side>[AB])\.weight")


def add_adapter(
    transformer: FluxTransformer2DModel,
    name: str,
    rank: int,
    seed: int,
    precision: Precision = "fp32",
) -> None:
    """Put a fresh adapter beside what is there: alpha = rank, A gaussian, B zero."""
    config = LoraConfig(
        r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS
    )
    with torch.random.fork_rng(devices=[]), beside_others():
        torch.manual_seed(seed)
        transformer.add_adapter(config, adapter_name=name)
    keep_in(precision, transformer, name)
    freeze(transformer)


def adapter_parameters(transformer: FluxTransformer2DModel, name: str) -> dict[str, nn.Parameter]:
    """The weights of one adapter by their full names."""
    return {
        path: parameter
        for path, parameter in transformer.named_parameters()
        if path.endswith((f".lora_A.{name}.weight", f".lora_B.{name}.weight"))
    }


def keep_in(precision: Precision, transformer: FluxTransformer2DModel, name: str) -> None:
    """Hold an adapter's weights in this precision, whatever the network's own is."""
    for parameter in adapter_parameters(transformer, name).values():
        parameter.data = parameter.data.to(DTYPES[precision])


def freeze(transformer: FluxTransformer2DModel) -> None:
    transformer.requires_grad_(False)


def save_adapter(transformer: FluxTransformer2DModel, name: str, path: Path) -> None:
    """Write one adapter as safetensors that ``FluxPipeline.load_lora_weights`` reads."""
    tensors = {
        f"transformer.{key}": value.detach().cpu().contiguous()
        for key, value in get_peft_model_state_dict(transformer, adapter_name=name).items()
    }
    config = transformer.peft_config[name].to_dict()
    config = {key: sorted(v) if isinstance(v, set) else v for key, v in config.items()}
    packed = {f"transformer.{key}": value for key, value in config.items()}
    described = json.dumps(packed, sort_keys=True, default=str)
    # one entry only: safetensors writes several in random order, and the file's digest counts
    write_atomically(path, save(tensors, {METADATA: described}))


def load_adapter(
    transformer: FluxTransformer2DModel, name: str, path: Path, precision: Precision = "fp32"
) -> None:
    """Read an adapter that ``save_adapter``, diffusers, OminiControl or kohya's scripts wrote.

    Its strength is alpha / rank, where the file states alpha, and else 1. UserError when the file
    is missing, damaged, made for another network, or adapts layers that other tokens than the
    reference's pass through.
    """
    tensors, config = _read(path)
    _check(transformer, path, tensors)
    with beside_others():
        try:
            transformer.load_lora_adapter(tensors, adapter_name=name, metadata=config)
        except (TypeError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path} holds other weights than its header states ({reason}); save it anew."
            ) from error
    keep_in(precision, transformer, name)
    freeze(transformer)


@contextmanager
def beside_others() -> Iterator[None]:
    """PEFT warns of a second adapter; here that is the rule."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")
        yield


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Weights by the names that diffusers gives them, and their PEFT configuration if stated."""
    with opened(path) as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads((file.metadata() or {}).get(METADATA, "null"))
    try:
        tensors, alphas = FluxPipeline.lora_state_dict(tensors, return_alphas=True)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} names its weights as no FLUX LoRA that diffusers knows ({error}); convert it "
            "to diffusers' form."
        ) from error
    if alphas and config:
        raise UserError(f"{path} states alpha in its header and beside its weights; remove one.")
    return _scaled(tensors, alphas or {}), config


def _scaled(tensors: dict[str, Tensor], alphas: dict[str, Tensor]) -> dict[str, Tensor]:
    """Alphas that stand beside the weights go into them, since each layer may have its own."""
    for key, alpha in alphas.items():
        a, b = (f"{key.removesuffix('.alpha')}.lora_{side}.weight" for side in "AB")
        if a in tensors and b in tensors:
            tensors[b] = tensors[b] * (alpha.item() / len(tensors[a]))
    return tensors


def _check(transformer: FluxTransformer2DModel, path: Path, tensors: dict[str, Tensor]) -> None:
    if not any(key.startswith("transformer.") and ".lora_A." in key for key in tensors):
        raise UserError(f"{path} holds no LoRA for a FLUX transformer; give another file.")
    layers = dict(transformer.named_modules())
    ranks: dict[str, dict[str, int]] = {"A": {}, "B": {}}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if not match:
            raise UserError(
                f"{path} adapts more than the image stream of a FLUX transformer ('{key}'); give a "
                "subject LoRA in OminiControl's form."
            )
        layer, side = match["layer"], match["side"]
        features, axis = ("in_features", 1) if side == "A" else ("out_features", 0)
        if tensor.shape[axis] != getattr(layers.get(layer), features, None):
            raise UserError(
                f"{path} was made for another backbone ('{key}' does not fit); give this one's."
            )
        ranks[side][layer] = tensor.shape[1 - axis]
    if ranks["A"] != ranks["B"]:
        raise UserError(f"{path} lacks halves of its factors; fetch or save it anew.")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file. UserError when it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(f"Cannot read the adapter {path} ({error}); check the path.") from error
