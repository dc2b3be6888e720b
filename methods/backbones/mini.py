"""The mini backbone: a tiny FLUX on packed pixels of the procedural world.

``build`` makes it with fresh weights for pre-training, ``load`` reads the shipped ones.
"""

from pathlib import Path

import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import UserError
from bench.identity import file_digest
from bench.methods.backbones.backbone import BackboneSpec, Generators, Text
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini_text import (
    WORDS,
    MiniTextEncoder,
    MiniVocabulary,
    tokenize,
)
from bench.methods.backbones.words import Reader, Words
from bench.mini.weights import weights_file

BASE, SFT = "mini-base", "mini-sft"


class PixelCodec:
    """Latents are the pixels themselves, at about unit variance."""

    channels, factor, patch = 3, 1, 4
    scale = 1.7

    def moments(self, images: Tensor) -> Tensor:
        return (images * 2 - 1) * self.scale

    def sample(self, moments: Tensor, generators: Generators) -> Tensor:
        return moments

    def decode(self, latents: Tensor) -> Tensor:
        return ((latents / self.scale + 1) / 2).clamp(0, 1)


class MiniNetworks(nn.Module):
    """Transformer and text encoder under one roof, for training, averaging and saving."""

    def __init__(self) -> None:
        super().__init__()
        self.transformer = build_transformer()
        self.text = MiniTextEncoder()
        self.vocabulary = MiniVocabulary(WORDS)

    def encode_prompts(self, prompts: list[str]) -> Text:
        return Text(*self.text(tokenize(prompts, words=self.vocabulary)))


class MiniBackbone(FluxBackbone):
    """A FLUX that can be taught words of its grammar."""

    def __init__(self, spec: BackboneSpec, networks: MiniNetworks) -> None:
        schedule = {"shift": 1.0, "use_dynamic_shifting": False}
        parts = (networks.transformer, networks.encode_prompts, PixelCodec())
        super().__init__(spec, *parts, schedule)
        reader = Reader(networks.text, networks.text.words, networks.vocabulary)
        self.words = Words(networks.encode_prompts, {"words": reader})


def build_transformer() -> FluxTransformer2DModel:
    """FLUX's transformer at a tiny configuration: 3.2 M parameters, no guidance embedding."""
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=PixelCodec.channels * PixelCodec.patch**2,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=5,
        joint_attention_dim=96,
        pooled_projection_dim=96,
        guidance_embeds=False,
        axes_dims_rope=(4, 14, 14),
    )


def initialise(transformer: FluxTransformer2DModel) -> None:
    """Xavier blocks, residual gates at one, modulation and output at zero."""
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for block in transformer.transformer_blocks:
        for norm in (block.norm1, block.norm1_context):
            _open_gates(norm.linear, gates=(2, 5), chunks=6)
    for block in transformer.single_transformer_blocks:
        _open_gates(block.norm.linear, gates=(2,), chunks=3)
    for layer in (transformer.norm_out.linear, transformer.proj_out):
        nn.init.zeros_(layer.weight)


def _open_gates(linear: nn.Linear, gates: tuple[int, ...], chunks: int) -> None:
    nn.init.zeros_(linear.weight)
    with torch.no_grad():
        for gate in gates:
            linear.bias.chunk(chunks)[gate].fill_(1.0)


def assemble(networks: MiniNetworks, digest: str, sft: Path | None) -> MiniBackbone:
    """The backbone around these networks."""
    spec = BackboneSpec(
        name="mini",
        digest=digest,
        resolution=32,
        steps=20,
        guidance=None,
        corpus="mini-world",
        batch=16,
        sft=sft,
        judge="mini-dino",
        mini=True,
    )
    return MiniBackbone(spec, networks)


def load() -> MiniBackbone:
    """The shipped backbone, in fp32 on the CPU, with its SFT adapter."""
    base, sft = weights_file(BASE), weights_file(SFT)
    if not base.is_file():
        raise UserError(f"The mini backbone's weights are not at {base}; reinstall subjectbench.")
    networks = MiniNetworks()
    tensors = {name: tensor.float() for name, tensor in load_file(base).items()}
    networks.load_state_dict(tensors)
    return assemble(networks.eval(), file_digest(base), sft if sft.is_file() else None)
