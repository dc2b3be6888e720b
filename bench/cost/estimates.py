"""What a run costs before it begins: floating-point operations, memory, disk and time.

Estimates from configurations: no weights are loaded, and nothing that is there already is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from bench.cost.devices import Device
from bench.cost.facts import Facts, facts_of
from bench.cost.networks import Network

if TYPE_CHECKING:
    from bench.cost.throughput import Speed
    from bench.plan import Plan

UTILISATION = 0.4
"""Share of a device's peak that is assumed to be reached."""
BF16, FP32 = 2, 4
PNG = 1.7
"""Bytes per pixel of a photograph."""
BLOCK = 24
"""Numbers kept of a token while one block is recomputed, in widths of the network."""
LORA_STATES, WHOLE_STATES = 6, 4
"""What is kept of a trained weight: its file, and in a checkpoint itself with its optimiser's
states, Prodigy's four or AdamW's two. The same in memory, a gradient for the file."""
Figures = dict[str, float]
"""By stage: training, pairs, answers."""


@dataclass(frozen=True)
class Budget:
    """What a method does before it answers.

    ``steps``: optimiser steps; ``examples``: that these see, each as often as it is seen;
    ``forwards`` and ``backwards``: passes of one image through the network in trainings;
    ``images``: drawn to be trained on; ``encoded``: examples whose codes are kept; ``on_demand``:
    others are encoded while a training runs; ``ranks``: of the LoRAs that are trained; ``whole``:
    trainings of the network's own weights; ``together``: images in one pass of a training;
    ``alone``: no image has a reference beside it.
    """

    steps: int = 0
    examples: int = 0
    forwards: int = 0
    backwards: int = 0
    images: int = 0
    encoded: int = 0
    on_demand: bool = False
    ranks: tuple[int, ...] = ()
    whole: int = 0
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
        counted = (
            *("steps", "examples", "forwards", "backwards"),
            *("images", "encoded", "ranks", "whole"),
        )
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
class Estimate:
    """What a run takes, everything made anew.

    Bytes, FLOPs and seconds, by what takes them; None where nothing is known. ``weights``: what
    must be in memory whatever is done, of all that ``memory`` says may be there at once.
    """

    disk: Figures
    flops: Figures | None
    memory: float | None
    seconds: Figures | None
    assumptions: tuple[str, ...]
    weights: float | None = None

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it, in GB (1e9), PFLOP and hours."""
        flops, seconds = self.flops, self.seconds
        return {
            "disk_gb": rounded(self.disk, 1e9),
            "pflop": None if flops is None else rounded(flops, 1e15),
            "memory_gb": None if self.memory is None else float(f"{self.memory / 1e9:.3g}"),
            "hours": None if seconds is None else round(sum(seconds.values()) / 3600, 2),
            "assumptions": list(self.assumptions),
        }


def estimate(
    budget: Budget,
    answers: int,
    steps: int | None,
    backbone: str,
    device: Device | None,
    passes: int | None = None,
    speed: Speed | None = None,
) -> Estimate:
    """The cost of a budget and of drawing ``answers`` in ``steps`` (None: the backbone's).

    ``passes``: what guidance asks of the network for an answer at a step (None: what the
    backbone's own asks); ``speed``: as it was measured here.
    """
    facts, origin = facts_of(backbone)
    if facts is None or facts.network is None:
        return Estimate({}, None, None, None, (f"{backbone}: {origin}",))
    work = _work(budget, answers, steps or facts.steps, facts, passes or facts.passes)
    drawn = {"pairs": budget.images, "answers": answers}
    each = speed.bytes_per_image if speed and speed.bytes_per_image else facts.resolution**2 * PNG
    number = _number(facts, device)
    disk = {what: count * each for what, count in drawn.items()}
    disk["encoded"] = _encoded(budget, facts, facts.network, number)
    disk["checkpoints"] = _kept(budget, facts.network)
    forward = facts.network.forward(*facts.tokens(not budget.alone))
    flops = {what: forward * (own.forwards + 2 * own.backwards) for what, own in work.items()}
    weights = (facts.network.parameters + facts.encoders) * number
    return Estimate(
        disk,
        flops,
        _memory(budget, facts, facts.network, number),
        _seconds(work, flops, device, speed, not budget.alone),
        (f"{backbone}: {origin}", f"time: {_told(backbone, device, speed)}", *_assumed(speed)),
        weights,
    )


@dataclass(frozen=True)
class _Passes:
    """Of the network, forth and back, and the images that come of them."""

    forwards: int
    backwards: int = 0
    images: int = 0


def _work(
    budget: Budget, answers: int, steps: int, facts: Facts, passes: int
) -> dict[str, _Passes]:
    return {
        "training": _Passes(budget.forwards, budget.backwards),
        "pairs": _Passes(budget.images * steps * facts.passes, images=budget.images),
        "answers": _Passes(answers * steps * passes, images=answers),
    }


def _seconds(
    work: Mapping[str, _Passes],
    flops: Figures,
    device: Device | None,
    speed: Speed | None,
    seeing: bool,
) -> Figures | None:
    """As measured, else at the assumed utilisation of the device."""
    if speed:
        return {
            what: speed.time(own.forwards, own.backwards, own.images, seeing)
            for what, own in work.items()
        }
    peak = device.peak if device else None
    return {what: f / (peak * UTILISATION) for what, f in flops.items()} if peak else None


DERIVED = (
    "a backward pass is two forward passes, with what is recomputed; encoders, decoders and "
    "metrics are left out"
)
MEMORY = (
    "memory: weights in bf16 (fp32 on a processor), what is trained in fp32 with its optimiser's "
    "states, activations kept at the borders of blocks; trainings on codes that were kept do "
    "without encoders; decoding is left out"
)


def _assumed(speed: Speed | None) -> tuple[str, ...]:
    drawn = speed and speed.bytes_per_image
    images = "images as large as one drawn here" if drawn else f"{PNG} bytes per pixel of a PNG"
    beside = "backward passes, prompts and decoding as measured" if speed else DERIVED
    return f"disk: {images}", f"compute: {beside}", MEMORY


def _told(backbone: str, device: Device | None, speed: Speed | None) -> str:
    if speed:
        return f"measured here on {speed.date} ({speed.device}, {speed.dtype})"
    unmeasured = f"so no time: measure it there with 'bench bench --backbone {backbone}'"
    if device is None:
        return f"no device at hand, {unmeasured}"
    if device.peak is None:
        return f"{device.name} is not known, {unmeasured}"
    peak = f"{device.peak / 1e12:.0f} TFLOP/s"
    return f"{device.name}, {UTILISATION:.0%} of {peak} in bf16, {device.memory / 1e9:.0f} GB"


def _number(facts: Facts, device: Device | None) -> int:
    """Bytes of a weight or an activation; without a device, as an accelerator has them."""
    return BF16 if not facts.on_cpu and (device is None or device.accelerator) else FP32


def _encoded(budget: Budget, facts: Facts, network: Network, number: int) -> float:
    """A prompt, a reference and a target each, and the images drawn."""
    candidates = budget.images if budget.encoded else 0
    triplet = network.prompt(facts.text) + 2 * facts.code
    return (budget.encoded * triplet + candidates * facts.code) * number


def _kept(budget: Budget, network: Network) -> float:
    """Each training as a file and in a checkpoint."""
    loras = sum(network.adapter(rank) for rank in budget.ranks) * LORA_STATES
    return (loras + budget.whole * network.parameters * WHOLE_STATES) * FP32


def _memory(budget: Budget, facts: Facts, network: Network, number: int) -> float:
    """The larger of training and drawing."""
    weights, encoders = network.parameters * number, facts.encoders * number
    borders, widest = network.borders(*facts.tokens(not budget.alone))
    adapters = max((network.adapter(rank) for rank in budget.ranks), default=0) * LORA_STATES
    whole = network.parameters * WHOLE_STATES if budget.whole else 0
    trained = float((adapters + whole) * FP32)
    trained += budget.together * (borders + BLOCK * widest) * number
    beside = encoders if budget.on_demand else 0.0
    drawing = encoders + facts.batch * widest * BLOCK * number
    return weights + max(trained + beside, drawing)


def rounded(figures: Figures, unit: float) -> Figures:
    """To four digits at most, in a unit."""
    return {name: float(f"{value / unit:.4g}") for name, value in figures.items()}


def counts(budget: Budget) -> dict[str, int]:
    """What of a budget is told."""
    told = asdict(budget)
    return {name: told[name] for name in ("steps", "examples", "forwards", "backwards", "images")}
