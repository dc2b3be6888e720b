"""Speed, memory and utilisation of FLUX.1-dev at its real size, with random weights.

By hand, where an accelerator is: ``python -m tests.benchmarks.flux [--compile]``. Weights are made
on the device, nothing is downloaded. Side by side with the same work in the structure of
OminiControl's code: one attention call per branch, nothing compiled, one image at a time.
``--tiny`` runs every line of it on any machine, with a tiny network; its figures mean nothing.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import FluxTransformer2DModel
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor
from torch.nn import functional as F

from bench.cost.devices import device_at_hand
from bench.cost.networks import Flux
from bench.methods.backbones import conditioned
from bench.methods.backbones.backbone import BackboneSpec, Condition, Text
from bench.methods.backbones.conditioned import Heads, Kept, Rotary
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.comparative import Comparison
from bench.methods.examples import Batch
from bench.methods.loop import Recipe, Training
from tests.benchmarks.scoring import say

SCHEDULE = {
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
AIM_UTILISATION, AIM_SPEED = 0.45, 1.5
PAIRS, GUIDANCE = 4, 3.5
WEIGHTS = {"sft": 1.0, "sfo": 1.0}


@dataclass(frozen=True)
class Size:
    """What is measured: a network, square images in pixels, prompts in tokens, sampling steps."""

    network: dict[str, Any]
    resolution: int
    text: int
    steps: int
    batches: tuple[int, ...]


REAL = Size({"guidance_embeds": True}, 512, 512, 28, (1, 4, 8))
TINY = Size(
    {
        "num_layers": 1,
        "num_single_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "guidance_embeds": True,
        "axes_dims_rope": (4, 6, 6),
    },
    64,
    8,
    2,
    (1, 2),
)


class Latents:
    """A codec of FLUX's shape that encodes nothing."""

    channels, factor, patch = 16, 8, 2

    def moments(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def sample(self, moments: Tensor, generators: Any) -> Tensor:
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        raise NotImplementedError


def build(size: Size, device: str) -> FluxBackbone:
    """The backbone with an SFT and an SFO LoRA, in bf16 on an accelerator."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device != "cpu" else torch.float32
    with torch.device(device), _default(dtype):
        transformer = FluxTransformer2DModel(**size.network)
    transformer.enable_gradient_checkpointing()
    spec = BackboneSpec(
        "flux-random", "random", size.resolution, size.steps, GUIDANCE, "none", batch=1
    )
    backbone = FluxBackbone(spec, transformer, _no_prompts, Latents(), SCHEDULE)
    backbone.add_adapter("sft", 4, seed=0)
    backbone.add_adapter("sfo", 16, seed=1)
    return backbone


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _no_prompts(prompts: list[str]) -> Text:
    raise NotImplementedError


def condition(backbone: FluxBackbone, size: Size, count: int) -> Condition:
    """Random codes of prompts and references, always the same."""
    config, generator = backbone.transformer.config, torch.Generator().manual_seed(0)
    tokens = torch.randn(count, size.text, config.joint_attention_dim, generator=generator)
    pooled = torch.randn(count, config.pooled_projection_dim, generator=generator)
    text = Text(*(part.to(backbone.device, backbone.dtype) for part in (tokens, pooled)))
    return Condition(text, latents(backbone, count, seed=100))


def latents(backbone: FluxBackbone, count: int, seed: int = 0) -> Tensor:
    drawn: Tensor = backbone.noise([torch.Generator().manual_seed(seed + i) for i in range(count)])
    return drawn


def by_branch(heads: list[Heads], rotary: Rotary, kept: Kept | None) -> tuple[list[Tensor], Kept]:
    """Attention as OminiControl's code calls it: once for the queries of every branch."""
    lengths, place, turned = [query.shape[1] for query, _, _ in heads], 0, []
    for (query, key, value), length in zip(heads, lengths, strict=True):
        own = tuple(part[place : place + length] for part in rotary)
        query, key = (apply_rotary_emb(part, own, sequence_dim=1) for part in (query, key))
        turned.append((query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)))
        place += length
    keys, values = (torch.cat([one[i] for one in turned], dim=2) for i in (1, 2))
    seen = [F.scaled_dot_product_attention(query, keys, values) for query, _, _ in turned]
    kept_now = keys.transpose(1, 2), values.transpose(1, 2)
    return [one.transpose(1, 2).flatten(2) for one in seen], kept_now


def as_ominicontrol() -> Any:
    return mock.patch.object(conditioned, "_attend", by_branch)


def compiled() -> Any:
    """Blocks are compiled, once for each kind."""
    names = ("_double_block", "_single_block")
    made = {name: torch.compile(getattr(conditioned, name)) for name in names}
    return mock.patch.dict(conditioned.__dict__, made)


def train(backbone: FluxBackbone, size: Size, together: int, folder: Path) -> Callable[[], object]:
    """One optimiser step of SFO on four pairs, ``together`` of them in one pass."""
    batch = Batch(
        condition(backbone, size, together),
        latents(backbone, together, seed=200),
        latents(backbone, together, seed=300),
    )
    objective = Comparison({"sft": 1.0}, WEIGHTS, beta=1000.0)
    recipe = Recipe(steps=10**6, optimiser="prodigy", lr=1.0, clip=0.5, save_every=10**6)
    recipe = Recipe(**{**recipe.__dict__, "accumulate": PAIRS // together})
    training = Training(backbone.adapter_parameters("sfo"), recipe, folder, seed=0)
    return lambda: training._one_step(lambda _, generator: objective(backbone, batch, generator))


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The least of some rounds after a first one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        _finish()
        began = time.perf_counter()
        work()
        _finish()
        times.append(time.perf_counter() - began)
    return min(times)


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Report:
    """Lines of figures; the utilisation is of passes that each cost a forward."""

    def __init__(self, size: Size, peak: float | None) -> None:
        known = {key: size.network[key] for key in size.network if key in Flux.__dataclass_fields__}
        self.forward = Flux(**known).forward(size.text, 2 * (size.resolution // 16) ** 2)
        self.peak = peak

    def __call__(
        self, what: str, each: str, work: Callable[[], object], n: int, passes: int
    ) -> float:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        taken = seconds(work, rounds=3)
        parts = [f"{60 * n / taken:.2f} {each}/min"]
        if self.peak:
            parts.append(f"utilisation {passes * self.forward / taken / self.peak:.1%}")
        if torch.cuda.is_available():
            parts.append(f"peak {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
        say(what, ", ".join(parts))
        return n / taken


def measure(backbone: FluxBackbone, size: Size, report: Report, compiling: bool) -> None:
    ours = compiled() if compiling else nullcontext()
    apart = _apart(backbone, size, ours)
    with tempfile.TemporaryDirectory() as folder:
        with ours:
            drawn = [_drawing(backbone, size, report, count) for count in size.batches]
            steps = [
                _training(backbone, size, report, together, Path(folder) / str(together))
                for together in (1, PAIRS)
            ]
        with as_ominicontrol():
            say("as OminiControl:", "")
            theirs = _drawing(backbone, size, report, 1)
            step = _training(backbone, size, report, 1, Path(folder) / "theirs")
    say("images, times theirs", f"{max(drawn) / theirs:.2f} (aim: {AIM_SPEED})")
    say("steps, times theirs", f"{max(steps) / step:.2f} (aim: {AIM_SPEED})")
    say("largest difference", f"{apart:.1e} standard deviations")


def _drawing(backbone: FluxBackbone, size: Size, report: Report, count: int) -> float:
    asked, noise = condition(backbone, size, count), latents(backbone, count)
    return report(
        f"images, batch {count}",
        "images",
        lambda: backbone.sample(asked, noise, WEIGHTS, size.steps, GUIDANCE),
        count,
        count * size.steps,
    )


def _training(
    backbone: FluxBackbone, size: Size, report: Report, together: int, folder: Path
) -> float:
    step = train(backbone, size, together, folder)
    return report(f"SFO step, {together} pairs a pass", "steps", step, 1, 8 * PAIRS)


def _apart(backbone: FluxBackbone, size: Size, ours: Any) -> float:
    """The largest difference of an image, drawn both ways, in standard deviations."""
    asked, noise = condition(backbone, size, 1), latents(backbone, 1)
    drawn = []
    for way in (ours, as_ominicontrol()):
        with way:
            drawn.append(backbone.sample(asked, noise, WEIGHTS, size.steps, GUIDANCE).float())
    return float((drawn[0] - drawn[1]).abs().max() / drawn[1].std())


def main() -> None:
    """Print every figure, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a tiny network, on any machine")
    parser.add_argument("--compile", action="store_true", help="compile the network's blocks")
    asked = parser.parse_args()
    if not asked.tiny and not torch.cuda.is_available():
        say("not measured", "no accelerator here; --tiny tries the script itself")
        return
    size = TINY if asked.tiny else REAL
    device = device_at_hand()
    report = Report(size, device.peak if device and not asked.tiny else None)
    say("device", device.name if device else "CPU")
    backbone = build(size, "cuda" if torch.cuda.is_available() else "cpu")
    say("forward", f"{report.forward / 1e12:.3g} TFLOP (aim: {AIM_UTILISATION:.0%} in generation)")
    measure(backbone, size, report, asked.compile)


if __name__ == "__main__":
    main()
