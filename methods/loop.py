"""One training loop for every network here: resumable, logged, with optional averaging.

A batch depends on (seed, step) alone, so a training that was killed and resumed ends with the
very weights of an undisturbed one. Several processes share the micro-steps of every optimiser step:
what is trained is what one process would train, but for the order of sums.
"""

import contextlib
import io
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from prodigyopt import Prodigy
from torch import Tensor, nn

from bench.api import Progress, silent
from bench.errors import UserError
from bench.processes import processes
from bench.store import write_atomically

Loss = Callable[[int, torch.Generator], tuple[Tensor, Mapping[str, float]]]
"""(micro-step, generator) to a loss and the figures to log beside it."""
UNREADABLE = (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError)
"""What ``torch.load`` raises on files that are damaged."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast.

    The rate is constant after ``warmup`` steps and falls linearly to zero over the last ``decay``
    of them. ``lr`` is a factor on Prodigy's own estimate, or AdamW's rate. ``accumulate``: losses
    per optimiser step. ``ema`` 0 keeps the last weights.
    """

    steps: int
    optimiser: Literal["adamw", "prodigy"] = "adamw"
    lr: float = 1e-3
    d0: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 0
    decay: float = 0.0
    weight_decay: float = 0.01
    clip: float = 1.0
    accumulate: int = 1
    ema: float = 0.0
    save_every: int = 50
    log_every: int = 10
    bf16: bool = False


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate at a step, as a fraction of the peak."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup))
    left = (recipe.steps - step) / max(1.0, recipe.decay * recipe.steps)
    return min(warm, left, 1.0)


def make_optimiser(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW, or Prodigy with OminiControl's settings."""
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(
            parameters, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay
        )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its settings
        return Prodigy(
            parameters,
            lr=recipe.lr,
            betas=recipe.betas,
            d0=recipe.d0,
            weight_decay=recipe.weight_decay,
            use_bias_correction=True,
            safeguard_warmup=True,
        )


def _add(total: dict[str, float], figures: Mapping[str, float]) -> None:
    for name, value in figures.items():
        total[name] = total.get(name, 0.0) + value


def _flat(parameter: nn.Parameter, grad: Tensor | None) -> Tensor:
    return (torch.zeros_like(parameter) if grad is None else grad).float().flatten()


def resume(path: Path, restore: Callable[[dict[str, Any]], None]) -> None:
    """Hand over what a checkpoint holds, where there is one.

    UserError when it is damaged, or when ``restore`` lacks something in it.
    """
    if not path.exists():
        return
    try:
        restore(torch.load(path, weights_only=True, map_location="cpu"))
    except (*UNREADABLE, KeyError) as error:
        raise UserError(
            f"The checkpoint {path} is damaged or of another training; delete it to train anew."
        ) from error


class Training:
    """A training in a folder: ``state.pt`` is its newest checkpoint.

    It takes place where the parameters are. Of several processes the first logs and saves.
    """

    def __init__(
        self, parameters: dict[str, nn.Parameter], recipe: Recipe, folder: Path, seed: int
    ) -> None:
        self.parameters, self.recipe, self.folder, self.seed = parameters, recipe, folder, seed
        self.processes = processes()
        self.processes.wait()  # nobody finishes what another has not yet found unfinished
        self.optimiser = make_optimiser(recipe, list(parameters.values()))
        averaged = parameters if recipe.ema else {}
        self.average = {name: value.detach().clone() for name, value in averaged.items()}
        self.step, self.seconds = 0, 0.0
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        self._resume()

    def run(
        self,
        loss_of: Loss,
        log: Callable[[Mapping[str, Any]], None],
        progress: Progress = silent,
        title: str = "train",
    ) -> dict[str, Tensor]:
        """Train to the end; returns the averaged (or last) weights by name."""
        began = time.monotonic() - self.seconds
        while self.step < self.recipe.steps:
            figures = self._one_step(loss_of)
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.processes.first:
                self._tell(figures, log, title)
                progress(title, self.step, self.recipe.steps)
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        if not self.recipe.ema:
            return {name: value.detach().clone() for name, value in self.parameters.items()}
        return self.average

    def _tell(
        self, figures: dict[str, float], log: Callable[[Mapping[str, Any]], None], title: str
    ) -> None:
        last = self.step == self.recipe.steps
        if (self.step - 1) % self.recipe.log_every == 0 or last:
            log({"event": title, "step": self.step, **figures})
        if self.step % self.recipe.save_every == 0 or last:
            self._save()

    def _one_step(self, loss_of: Loss) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.lr * rate(self.recipe, self.step)
        self.optimiser.zero_grad(set_to_none=True)
        figures: dict[str, float] = {}
        for micro in self.processes.share(range(self.recipe.accumulate)):
            _add(figures, self._micro_step(self.step * self.recipe.accumulate + micro, loss_of))
        figures = self._together(figures)
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.recipe.clip)
        self.optimiser.step()
        self._update_average()
        return figures

    def _micro_step(self, index: int, loss_of: Loss) -> dict[str, float]:
        """Adds to the gradients; what it returns adds up to the step's mean figures."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        with torch.autocast(self._device, torch.bfloat16, enabled=self.recipe.bf16):
            loss, extra = loss_of(index, generator)
        (loss / self.recipe.accumulate).backward()
        figures = {"loss": loss.item(), **extra}
        return {name: value / self.recipe.accumulate for name, value in figures.items()}

    @property
    def _device(self) -> str:
        return next(iter(self.parameters.values())).device.type

    def _together(self, figures: dict[str, float]) -> dict[str, float]:
        """Gradients and figures of all processes' micro-steps.

        A parameter that no loss depends on keeps no gradient at all, so that no decay moves it.
        """
        if self.processes.count == 1:
            return figures
        parameters = list(self.parameters.values())
        grads = [parameter.grad for parameter in parameters]
        flat = [_flat(p, grad) for p, grad in zip(parameters, grads, strict=True)]
        known = torch.tensor([grad is not None for grad in grads]).to(flat[0])
        summed = self.processes.total(torch.cat([known, *flat]))
        counts, *parts = summed.split([len(flat), *map(len, flat)])
        for parameter, count, part in zip(parameters, counts.tolist(), parts, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter) if count else None
        total: dict[str, float] = {}
        for each in self.processes.gather(figures):
            _add(total, each)
        return total

    def _update_average(self) -> None:
        keep = min(self.recipe.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, average in self.average.items():
                average.lerp_(self.parameters[name], 1 - keep)

    def _save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "weights": {name: value.detach() for name, value in self.parameters.items()},
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / "state.pt", buffer.getvalue())

    def _resume(self) -> None:
        resume(self.folder / "state.pt", self._restore)

    def _restore(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(state["weights"][name])
                if name in state["average"]:
                    self.average[name].copy_(state["average"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
