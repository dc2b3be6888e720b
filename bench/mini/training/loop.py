"""One training loop for every network of the mini world: resumable, logged, with EMA.

Batches depend on (seed, step) alone, so a resumed training sees what an undisturbed one does.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    """How long and how fast: constant rate after the warm-up, linear decay over the last part."""

    steps: int
    lr: float
    warmup: int = 200
    decay: float = 0.3  # fraction of the steps over which the rate falls to zero
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    save_every: int = 250
    bf16: bool = False


Loss = Callable[[int, torch.Generator], Tensor]


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate at a step, as a fraction of the peak."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup))
    left = (recipe.steps - step) / max(1.0, recipe.decay * recipe.steps)
    return min(warm, left, 1.0)


def train(
    parameters: dict[str, nn.Parameter], loss_of: Loss, recipe: Recipe, folder: Path, seed: int = 0
) -> dict[str, Tensor]:
    """Minimise ``loss_of(step, generator)``; returns the averaged weights by name.

    ``folder`` holds state.pt (the newest checkpoint), log.jsonl and time.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(
        list(parameters.values()), lr=recipe.lr, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    average = {name: value.detach().clone() for name, value in parameters.items()}
    first, seconds = _resume(folder, parameters, optimiser, average)
    began = time.monotonic()
    running: float | None = None
    for step in range(first, recipe.steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * rate(recipe, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            loss = loss_of(step, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(parameters.values()), recipe.clip)
        optimiser.step()
        _average(average, parameters, min(recipe.ema, (step + 1) / (step + 10)))
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        elapsed = seconds + time.monotonic() - began
        if step % 50 == 0:
            _log(folder, {"step": step, "loss": running, "seconds": round(elapsed, 1)})
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            _save(folder, step + 1, parameters, optimiser, average, elapsed, recipe)
    return average


def _average(average: dict[str, Tensor], now: dict[str, nn.Parameter], keep: float) -> None:
    with torch.no_grad():
        for name, value in now.items():
            average[name].lerp_(value, 1 - keep)


def _log(folder: Path, row: dict[str, float]) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")


def _save(
    folder: Path,
    step: int,
    parameters: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
    seconds: float,
    recipe: Recipe,
) -> None:
    state = {
        "step": step,
        "seconds": seconds,
        "weights": {name: value.detach() for name, value in parameters.items()},
        "average": average,
        "optimiser": optimiser.state_dict(),
    }
    part = folder / "state.pt.part"
    torch.save(state, part)
    part.replace(folder / "state.pt")
    summary = {"step": step, "seconds": round(seconds), "recipe": asdict(recipe)}
    (folder / "time.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _resume(
    folder: Path,
    parameters: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> tuple[int, float]:
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(state["weights"][name])
            average[name].copy_(state["average"][name])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["seconds"])
