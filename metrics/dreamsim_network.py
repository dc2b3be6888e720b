"""DreamSim's networks: one or three ViTs with low-rank adapters, side by side.

Weights are a folder as the package ``dreamsim`` fills its cache: the unzipped release, which holds
the adapters (``*_lora/``) and CLIP's towers (``*_pretrain.pth.tar``), and, where DINO takes part,
``checkpoints/dino_vitbase16_pretrain.pth`` as torch.hub fetches it. The package itself is not
needed: it would run code from torch.hub. Its behaviour is kept, to DINO's token being taken before
the last norm. Source: Fu et al. 2023; dreamsim 0.2.1, model.py and feature_extraction/.

Caveat: checked against the package on random weights in the release's layout, DINO against the
package's copy of its ViT; the published weights themselves have not been compared yet.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from bench.errors import UserError
from bench.metrics.networks import Towers
from bench.metrics.preparation import CLIP, IMAGENET, Colours

HEAD_WIDTH = 64
"""Of every ViT that takes part: the number of heads follows from the width."""


@dataclass(frozen=True)
class Branch:
    """One ViT of the release; its sizes follow from its weights."""

    file: str
    colours: Colours
    activation: str
    epsilon: float
    projected: bool
    """CLIP's kin: a norm before the blocks, one after them, and a projection."""


DINO = Branch("checkpoints/dino_vitbase16_pretrain.pth", IMAGENET, "gelu", 1e-6, False)
CLIP_B16 = Branch("clip_vitb16_pretrain.pth.tar", CLIP, "quick_gelu", 1e-5, True)
CLIP_B32 = Branch("clip_vitb32_pretrain.pth.tar", CLIP, "quick_gelu", 1e-5, True)
# LAION's towers were trained with the plain activation.
OPEN_CLIP_B16 = Branch("open_clip_vitb16_pretrain.pth.tar", CLIP, "gelu", 1e-5, True)
OPEN_CLIP_B32 = Branch("open_clip_vitb32_pretrain.pth.tar", CLIP, "gelu", 1e-5, True)


class Extractor(nn.Module):
    """(B, 3, H, W) pixels in [0, 1] to one branch's (B, D) features."""

    mean: Tensor
    std: Tensor
    proj: Tensor | None

    def __init__(self, branch: Branch, folder: Path) -> None:
        super().__init__()
        state = _read(folder / branch.file)
        state = state["state_dict"] if branch.projected else state
        proj = state.pop("proj") if branch.projected else None
        self.register_buffer("proj", proj)
        for name, values in (("mean", branch.colours.mean), ("std", branch.colours.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))
        self.model = vit(branch, state)

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.model((pixels - self.mean) / self.std)
        return features if self.proj is None else features @ self.proj


class Branches(nn.Module):
    """(B, 3, H, W) pixels in [0, 1] to (B, D) embeddings without mean, of unit length.

    Mean and length are those of all branches' features together, not of each. The names of the
    parts are those that the adapters' files know.
    """

    def __init__(self, branches: list[Branch], folder: Path) -> None:
        super().__init__()
        self.extractor_list = nn.ModuleList(Extractor(branch, folder) for branch in branches)

    def forward(self, pixels: Tensor) -> Tensor:
        parts = [extractor(pixels).float() for extractor in self.extractor_list]
        features = torch.cat(parts, dim=-1)
        centred = features - features.mean(dim=-1, keepdim=True)
        return centred / centred.norm(dim=-1, keepdim=True)


def vit(branch: Branch, state: dict[str, Tensor]) -> Any:
    """The ViT that a state belongs to, giving the class token. RuntimeError for another's state."""
    width, patch = state["patch_embed.proj.weight"].shape[::3]
    model: Any = VisionTransformer(
        img_size=patch * round((state["pos_embed"].shape[1] - 1) ** 0.5),
        patch_size=patch,
        embed_dim=width,
        depth=sum(name.endswith(".norm1.weight") for name in state),
        num_heads=width // HEAD_WIDTH,
        num_classes=0,
        act_layer=branch.activation,
        norm_layer=partial(nn.LayerNorm, eps=branch.epsilon),
        weight_init="skip",
    )
    if branch.projected:
        # The release keeps the norm before the blocks in the place of a dropout.
        model.pos_drop = nn.LayerNorm(width, eps=branch.epsilon)
    model.load_state_dict(state)
    if not branch.projected:
        model.norm = nn.Identity()
    return model


def adapted(model: nn.Module, folder: Path) -> nn.Module:
    """The model with an adapter merged into its weights. RuntimeError for another's adapter."""
    if not any((folder / f"adapter_model.{kind}").is_file() for kind in ("safetensors", "bin")):
        raise _missing(folder / "adapter_model.safetensors")
    wrapped = get_peft_model(model, PeftConfig.from_pretrained(str(folder)))
    state = load_peft_weights(str(folder), device="cpu")
    loaded: Any = set_peft_model_state_dict(wrapped, state)
    # peft passes over both in silence, which would leave DreamSim untrained.
    strange = [*loaded.unexpected_keys, *(key for key in loaded.missing_keys if "lora_" in key)]
    if strange:
        raise RuntimeError(f"the adapter does not fit, for instance {strange[0]}")
    merged: nn.Module = wrapped.merge_and_unload()
    return merged


def build(branches: list[Branch], adapter: str, folder: Path) -> Towers:
    """Branches with their adapter, from a folder.

    UserError for files that are not there, RuntimeError for files of something else.
    """
    try:
        model = adapted(Branches(branches, folder), folder / adapter)
    except (KeyError, UnpicklingError, EOFError) as error:
        raise RuntimeError(f"a file of {folder} is not of the release: {error}") from error
    return Towers(model, model)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise _missing(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _missing(path: Path) -> UserError:
    return UserError(
        f"DreamSim's weights lack {path}; put the unzipped release of dreamsim there, and with a "
        "DINO branch what torch.hub keeps as checkpoints/dino_vitbase16_pretrain.pth."
    )


dreamsim_ensemble = partial(build, [DINO, CLIP_B16, OPEN_CLIP_B16], "ensemble_lora")
dreamsim_dino_vitb16 = partial(build, [DINO], "dino_vitb16_single_lora")
dreamsim_clip_vitb32 = partial(build, [CLIP_B32], "clip_vitb32_single_lora")
dreamsim_open_clip_vitb32 = partial(build, [OPEN_CLIP_B32], "open_clip_vitb32_single_lora")
