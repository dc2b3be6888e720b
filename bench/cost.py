"""What a run costs before it begins: floating-point operations, memory, disk and time.

Estimates from configurations: no weights are loaded, and nothing that is there already is left out.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.sources import source
from bench.weights import here

if TYPE_CHECKING:
    from bench.plan import Plan

UTILISATION = 0.4
"""Share of a device's peak that is assumed to be reached."""
BF16, FP32 = 2, 4
PNG = 1.7
"""Bytes per pixel of a photograph."""
BLOCK = 24
"""Numbers kept of a token while one block is recomputed, in widths of the network."""
PEAKS = {
    r"B200": 2250,
    r"H200": 989,
    r"H100 PCIe": 756,
    r"H100": 989,
    r"A100": 312,
    r"L40S": 362,
    r"L40": 181,
    r"L4\b": 121,
    r"RTX 6000 Ada": 364,
    r"RTX A6000": 155,
    r"A10\b": 125,
    r"RTX 5090": 210,
    r"RTX 4090": 165,
    r"RTX 3090": 71,
}
"""Dense bf16 TFLOP/s by the name of a device, as its maker states them."""


@dataclass(frozen=True)
class Budget:
    """What a method does before it answers.

    ``steps``: optimiser steps; ``examples``: that these see, each as often as it is seen;
    ``forwards`` and ``backwards``: passes of one image through the network in trainings;
    ``images``: drawn to be trained on; ``encoded``: examples whose codes are kept; ``on_demand``:
    others are encoded while a training runs; ``ranks``: of the LoRAs that are trained;
    ``together``: images in one pass of a training; ``alone``: no image has a reference beside it.
    """

    steps: int = 0
    examples: int = 0
    forwards: int = 0
    backwards: int = 0
    images: int = 0
    encoded: int = 0
    on_demand: bool = False
    ranks: tuple[int, ...] = ()
    together: int = 0
    alone: bool = False

    def __add__(self, other: Budget) -> Budget:
        summed = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
        }
        summed["together"] = max(self.together, other.together)
        summed["alone"] = self.alone and other.alone
        return Budget(**{**summed, "on_demand": self.on_demand or other.on_demand})

    def times(self, count: int) -> Budget:
        """The same for each of ``count`` subjects, one after another."""
        each = {field.name: getattr(self, field.name) for field in fields(self)}
        counted = ("steps", "examples", "forwards", "backwards", "images", "encoded", "ranks")
        return Budget(**{**each, **{name: each[name] * count for name in counted}})


@dataclass(frozen=True)
class Extent:
    """How much is asked of a method: subjects, the classes that these are of, and images."""

    subjects: int = 1
    classes: int = 1
    images: int = 1

    @classmethod
    def of(cls, plan: Plan) -> Extent:
        asked = set(plan.subjects)
        nouns = {own.class_noun for own in plan.suite.subjects if own.directory in asked}
        return cls(len(asked), len(nouns), len(plan.cases))


@dataclass(frozen=True)
class Flux:
    """FLUX.1's transformer by diffusers' names; the defaults are those of FLUX.1-dev."""

    num_layers: int = 19
    num_single_layers: int = 38
    attention_head_dim: int = 128
    num_attention_heads: int = 24
    in_channels: int = 64
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = True

    @property
    def width(self) -> int:
        return self.attention_head_dim * self.num_attention_heads

    @property
    def blocks(self) -> int:
        return self.num_layers + self.num_single_layers

    def forward(self, text: int, image: int) -> float:
        """FLOPs of one pass, a multiplication and an addition being two.

        ``text`` tokens, and ``image`` tokens with those of the reference.
        """
        tokens, width = text + image, self.width
        block = 24 * width**2 * tokens + 4 * width * tokens**2
        ends = 2 * width * (text * self.joint_attention_dim + 2 * image * self.in_channels)
        return self.blocks * block + ends

    @property
    def parameters(self) -> int:
        """Matrices alone."""
        width = self.width
        embedders = 256 * (1 + self.guidance_embeds) + self.pooled_projection_dim
        embedders += width * (2 + self.guidance_embeds) + self.joint_attention_dim
        ends = embedders + 2 * self.in_channels + 2 * width
        return (36 * self.num_layers + 15 * self.num_single_layers) * width**2 + ends * width

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA on the layers that OminiControl adapts."""
        wide = 20 * self.num_layers + 21 * self.num_single_layers + 1
        return rank * (wide * self.width + self.in_channels)


@dataclass(frozen=True)
class Facts:
    """What is known of a backbone without loading it.

    ``steps`` and ``resolution`` as its specification has them; ``text``: tokens of a prompt;
    ``ready``: an SFT model is there without a training; ``network``: None where no estimate is
    made; ``encoders``: parameters of what encodes and decodes.
    """

    steps: int
    resolution: int
    text: int = 0
    ready: bool = False
    network: Flux | None = None
    encoders: float = 0

    @property
    def image_tokens(self) -> int:
        """Of an image; its reference has as many."""
        return (self.resolution // 16) ** 2

    @property
    def code(self) -> int:
        """Bytes of an encoded image: mean and log-variance of 16 channels."""
        return 2 * 16 * (self.resolution // 8) ** 2 * BF16


FLUX_ENCODERS = 4.76e9 + 0.12e9 + 0.08e9
"""T5-XXL's encoder, CLIP-L's text tower and the autoencoder."""
FACTS = {
    "mini": Facts(20, 32, ready=True),
    "flux-dev": Facts(28, 512, 512, False, Flux(), FLUX_ENCODERS),
    "flux-schnell": Facts(4, 512, 256, False, Flux(guidance_embeds=False), FLUX_ENCODERS),
    "sdxl": Facts(50, 1024, ready=True),
    "sdxl-ip-adapter-vit-h": Facts(50, 1024, ready=True),
    "sdxl-ip-adapter-plus": Facts(50, 1024, ready=True),
    "sd15": Facts(50, 512),
    "sd21": Facts(50, 512),
    "sd21-768": Facts(50, 768),
    "sd-turbo": Facts(4, 512),
    "sdxl-turbo": Facts(4, 512),
    "sana": Facts(20, 1024),
    "sana-512": Facts(20, 512),
}


@dataclass(frozen=True)
class Device:
    """An accelerator: its name and its memory in bytes."""

    name: str
    memory: float

    @property
    def peak(self) -> float | None:
        """Dense bf16 FLOP/s; None for a device that is not known."""
        found = (peak for name, peak in PEAKS.items() if re.search(name, self.name))
        tera = next(found, None)
        return tera * 1e12 if tera else None


def device_at_hand() -> Device | None:
    """The first accelerator that nvidia-smi names; None where there is none."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        name, memory = told.stdout.splitlines()[0].rsplit(",", 1)
        return Device(name.strip(), float(memory) * 2**20)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def facts_of(backbone: str) -> tuple[Facts | None, str]:
    """What is known of a backbone, and where from: its own configuration, where that is here."""
    facts = FACTS.get(backbone)
    if facts is None or facts.network is None:
        return facts, "no figures of its network are known here"
    folder = here(source(backbone))
    path = (folder or Path()) / "transformer" / "config.json"
    if not path.is_file():
        return facts, "the network is as its public configuration has it"
    told = json.loads(path.read_text(encoding="utf-8"))
    known = {field.name: told[field.name] for field in fields(Flux) if field.name in told}
    return Facts(**{**facts.__dict__, "network": Flux(**known)}), f"the network is that of {path}"


@dataclass(frozen=True)
class Estimate:
    """What a run takes, everything made anew.

    Bytes, FLOPs and seconds; None where nothing is known.
    """

    disk: dict[str, float]
    flops: dict[str, float] | None
    memory: float | None
    seconds: float | None
    assumptions: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it, in GB (1e9), PFLOP and hours."""
        flops, seconds = self.flops, self.seconds
        return {
            "disk_gb": _rounded(self.disk, 1e9),
            "pflop": None if flops is None else _rounded(flops, 1e15),
            "memory_gb": None if self.memory is None else round(self.memory / 1e9, 1),
            "hours": None if seconds is None else round(seconds / 3600, 2),
            "assumptions": list(self.assumptions),
        }


def estimate(
    budget: Budget,
    answers: int,
    steps: int | None,
    backbone: str,
    device: Device | None,
    passes: int = 1,
) -> Estimate:
    """The cost of a budget and of drawing ``answers`` in ``steps`` (None: the backbone's).

    ``passes``: what guidance asks of the network for an answer at a step.
    """
    facts, origin = facts_of(backbone)
    if facts is None:
        return Estimate({}, None, None, None, (f"{backbone}: {origin}",))
    drawn = {"pairs": budget.images, "answers": answers}
    pixels = facts.resolution**2
    disk = {what: count * pixels * PNG for what, count in drawn.items()}
    network = facts.network
    if network is None:
        return Estimate(disk, None, None, None, (f"{backbone}: {origin}", *_ASSUMED[:1]))
    forward = network.forward(facts.text, (1 if budget.alone else 2) * facts.image_tokens)
    flops = {"training": forward * (budget.forwards + 2 * budget.backwards)}
    flops |= {what: forward * count * (steps or facts.steps) for what, count in drawn.items()}
    flops["answers"] *= passes
    disk |= {"encoded": _encoded(budget, facts, network), "checkpoints": _kept(budget, network)}
    peak = device.peak if device else None
    seconds = sum(flops.values()) / (peak * UTILISATION) if peak else None
    assumptions = (f"{backbone}: {origin}", f"device: {_told(device)}", *_ASSUMED)
    return Estimate(disk, flops, _memory(budget, facts, network), seconds, assumptions)


_ASSUMED = (
    f"disk: {PNG} bytes per pixel of a PNG; nothing that is there already is left out",
    "compute: a backward pass is two forward passes, with what is recomputed; encoders, decoders "
    "and metrics are left out",
    "memory: bf16 weights, fp32 LoRA with four states of Prodigy, activations kept at the borders "
    "of blocks; trainings on codes that were kept do without encoders",
)


def _told(device: Device | None) -> str:
    if device is None:
        return "none at hand, so no time"
    if device.peak is None:
        return f"{device.name} is not known, so no time"
    peak = f"{device.peak / 1e12:.0f} TFLOP/s"
    return f"{device.name}, {UTILISATION:.0%} of {peak} in bf16, {device.memory / 1e9:.0f} GB"


def _encoded(budget: Budget, facts: Facts, network: Flux) -> float:
    """A prompt, a reference and a target each, and the images drawn."""
    text = facts.text * network.joint_attention_dim + network.pooled_projection_dim
    candidates = budget.images if budget.encoded else 0
    return budget.encoded * (text * BF16 + 2 * facts.code) + candidates * facts.code


def _kept(budget: Budget, network: Flux) -> float:
    """Each LoRA as a file and in a checkpoint with its optimiser's four states."""
    return sum(network.adapter(rank) for rank in budget.ranks) * FP32 * 6


def _memory(budget: Budget, facts: Facts, network: Flux) -> float:
    """The larger of training and drawing."""
    weights = network.parameters * BF16
    encoders = facts.encoders * BF16
    token = network.width * BF16 * (facts.text + (1 if budget.alone else 2) * facts.image_tokens)
    adapters = max((network.adapter(rank) for rank in budget.ranks), default=0) * FP32 * 6
    trained = adapters + budget.together * token * (network.blocks + BLOCK)
    beside = encoders if budget.on_demand else 0.0
    return weights + max(trained + beside, encoders + token * BLOCK)


def _rounded(figures: dict[str, float], unit: float) -> dict[str, float]:
    return {name: round(value / unit, 2) for name, value in figures.items()}


def counts(budget: Budget) -> dict[str, int]:
    """What of a budget is told."""
    told = asdict(budget)
    return {name: told[name] for name in ("steps", "examples", "forwards", "backwards", "images")}
