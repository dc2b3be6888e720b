"""What personalization guidance costs beside classifier-free guidance, on one network in one run.

By hand: ``python -m tests.benchmarks.guidance``. Both ask the network twice a step, which the UNets
answer in one forward pass: under PG a LoRA acts on each half of the batch at a scale of its own.
``--tiny`` runs every line with tiny networks; its figures mean nothing.
"""

import argparse
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from bench.methods.backbones.backbone import (
    Backbone,
    BackboneSpec,
    Condition,
    Rule,
    Text,
)
from bench.methods.backbones.mini import load
from bench.methods.backbones.unet import Parts, UnetBackbone
from bench.methods.guidance import Cfg, Pg
from tests.benchmarks.scoring import say
from tests.benchmarks.turns import compare, say_where, take_turns

AIM = 1.03
LORA, WIDTH, TOKENS = "subject", 768, 77
TINY: dict[str, Any] = {"block_out_channels": (8, 16), "norm_num_groups": 2, "sample_size": 8}
MEDIUM: dict[str, Any] = {"block_out_channels": (128, 256, 416), "sample_size": 32}
REAL: dict[str, Any] = {"block_out_channels": (320, 640, 1280, 1280), "sample_size": 64}


RULES: dict[str, Rule] = {
    "cfg": Cfg(),
    "pg": Pg(),
    "pg at omega 0": Pg(omega=0.0),
}


class NoImages:
    """A codec of Stable Diffusion's shape that encodes nothing."""

    vae, channels, factor = None, 4, 8

    def moments(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def sample(self, moments: Tensor, generators: Any) -> Tensor:
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        raise NotImplementedError


def stable_diffusion(network: dict[str, Any], device: str) -> UnetBackbone:
    """A random UNet in the form of SD 1.5's, in bf16 on an accelerator."""
    torch.manual_seed(0)
    deep = len(network["block_out_channels"]) - 1
    unet = UNet2DConditionModel(
        **network,
        layers_per_block=2,
        attention_head_dim=8,
        cross_attention_dim=WIDTH,
        down_block_types=("CrossAttnDownBlock2D",) * deep + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * deep,
    )
    null = prompt(1, seed=1).text
    spec = BackboneSpec("sd-random", "random", 8 * network["sample_size"], 50, 7.5, "none", batch=1)
    scheduler = DDIMScheduler(beta_schedule="scaled_linear")
    if device != "cpu":
        unet.to(device, torch.bfloat16)
    return UnetBackbone(spec, Parts(unet, _no_prompts, null, NoImages(), scheduler))


def _no_prompts(prompts: list[str]) -> Text:
    raise NotImplementedError


def prompt(count: int, seed: int = 0) -> Condition:
    """Random codes of prompts, always the same."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, TOKENS, WIDTH, generator=generator)
    return Condition(Text(tokens, tokens.new_empty(count, 0)), None)


def adapted(backbone: Backbone) -> Backbone:
    """With a LoRA of a subject that matters."""
    backbone.add_adapter(LORA, 4, seed=0, tokens="image")
    for name, parameter in backbone.adapter_parameters(LORA).items():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.02)
    return backbone


def measure(what: str, backbone: Backbone, condition: Condition, steps: int, rounds: int) -> None:
    """A line for each comparison of the images of one condition."""
    noise = backbone.noise([torch.Generator().manual_seed(0)])

    def drawn(rule: Rule) -> None:
        backbone.sample(condition, noise, {LORA: 1.0}, steps, 7.5, rule)

    works = {name: lambda rule=rule: drawn(rule) for name, rule in RULES.items()}
    taken = take_turns(works, rounds)
    each = taken["cfg"].figures
    say(f"{what}: cfg", f"{1000 * each['seconds'] / steps:.0f} ms a step, {rounds} turns")
    for name in ("pg", "pg at omega 0"):
        say(f"{name} to cfg", f"{compare(taken[name], taken['cfg'])} (aim: at most {AIM})")


def main() -> None:
    """Print every figure, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny networks, on any machine")
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() and not asked.tiny else "cpu"
    sizes = {"tiny": TINY, "medium": MEDIUM, "real": REAL}
    chosen = ["tiny"] if asked.tiny else ["tiny", "medium", "real"][: 3 if device == "cuda" else 2]
    rounds, steps = (1, 1) if asked.tiny else (asked.rounds, 2)
    say_where()
    for name in chosen:
        backbone = stable_diffusion(sizes[name], device)
        count = sum(parameter.numel() for parameter in backbone.unet.parameters())
        say(f"sd15, {name}", f"{count / 1e6:.1f} M parameters")
        measure(f"sd15, {name}", adapted(backbone), prompt(1), steps, rounds)
    mini = adapted(load())
    text = Condition(mini.encode_prompts(["a photo of a mug"]), None)
    measure("mini", mini, text, steps, rounds)


if __name__ == "__main__":
    main()
