"""LoRAs as other people's code leaves them: diffusers' training scripts and kohya's."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

ATTENTION = r".*\.attn[12]\.(to_[qkv]|to_out\.0)"
WIDE = r".*\.(attn[12]\.(to_[qkv]|to_out\.0)|ff\.net\.(0\.proj|2)|proj_in|conv1)"
"""With feed-forward networks and convolutions, as kohya's scripts train where asked to."""
FLUX = (
    r".*blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
    r"|ff(_context)?\.net\.(0\.proj|2)|norm1(_context)?\.linear|norm\.linear|proj_mlp|proj_out)"
)


def factors(network: Any, layers: str, rank: int = 4, seed: int = 0) -> dict[str, Tensor]:
    """Random factors by PEFT's names; ``network`` is the stock pipeline's and stays as it was."""
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
    network.add_adapter(config, adapter_name="made")
    generator = torch.Generator().manual_seed(seed)
    for path, parameter in network.named_parameters():
        if ".lora_" in path:
            nn.init.normal_(parameter, std=0.2, generator=generator)
    state = get_peft_model_state_dict(network, adapter_name="made")
    made = {key: value.detach().clone() for key, value in state.items()}
    network.delete_adapters("made")
    return made


def diffusers_file(made: dict[str, Tensor], prefix: str, path: Path) -> Path:
    """As ``save_lora_weights`` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{prefix}.{key}": value for key, value in made.items()}, path)
    return path


def kohya_file(made: dict[str, Tensor], alpha: float, path: Path) -> Path:
    """As sd-scripts write it, each layer with its alpha beside it."""
    tensors = {}
    for key, value in made.items():
        layer, _, side = key.removesuffix(".weight").rpartition(".")
        name = f"lora_unet_{layer.replace('.', '_')}"
        tensors[f"{name}.{'lora_down' if side == 'lora_A' else 'lora_up'}.weight"] = value
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    save_file(tensors, path)
    return path
