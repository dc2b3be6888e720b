"""Optimising through images: what is drawn is judged, and the judgement is descended.

An iterate is an image and the weights that it was drawn with. The best is kept as it was when it
was judged, and every one can be looked at. Source: SISO (arXiv 2503.16025), Sec. 3.1 and its code.
"""

import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.likeness import Loss
from bench.methods.loop import resume
from bench.methods.sampling import to_images
from bench.store import write_atomically

Draw = Callable[[], Tensor]
"""The image (1, 3, H, W) in [0, 1] of the weights as they are."""
Judge = Callable[[Tensor], Loss]
Weights = dict[str, Tensor]
STATE, LOSSES, SHEET = "state.pt", "losses.jsonl", "sheet.png"
CELL, COLUMNS, FRAME = 128, 10, 3
"""Of a sheet: pixels of a cell, cells in a row, pixels around the best."""


@dataclass(frozen=True)
class Descent:
    """How far and how fast, by AdamW, and when to stop.

    ``iterations``: images judged at most; ``patience``: iterations in a row without an improvement
    of ``threshold`` percent before it is over; ``save_every``: iterations between checkpoints.
    """

    iterations: int
    lr: float
    weight_decay: float
    patience: int
    threshold: float
    clip: float = 1.0
    save_every: int = 10


@dataclass(frozen=True)
class Best:
    """The iterate of the least loss, the first of equal ones."""

    step: int
    loss: float
    image: Image.Image


class Watch:
    """Looks at one loss after another: which is the best, and when to give up.

    What is best is any loss below all others. What renews patience is a loss that is ``threshold``
    percent of the last such loss's magnitude below it, so that signs play no part. A loss that is
    no number ends it.
    """

    def __init__(self, patience: int, threshold: float) -> None:
        self._patience, self._share = patience, threshold / 100
        self._level, self._waited = math.inf, 0
        self.steps, self.best, self.loss = 0, -1, math.inf
        self.over = False

    def see(self, loss: float) -> bool:
        """Whether it is the best so far."""
        better = loss < self.loss
        if better:
            self.best, self.loss = self.steps, loss
        self.steps += 1
        if loss < self._demanded:
            self._level, self._waited = loss, 0
        else:
            self._waited += 1
        self.over = self._waited >= self._patience or not math.isfinite(loss)
        return better

    @property
    def _demanded(self) -> float:
        if math.isinf(self._level):
            return math.inf
        return self._level - self._share * abs(self._level)


def optimise(
    parameters: dict[str, nn.Parameter],
    draw: Draw,
    judge: Judge,
    descent: Descent,
    workspace: Workspace,
    title: str = "optimise",
) -> Best:
    """Descend, or go on where a killed descent was; the parameters are then the best iterate's.

    ``workspace.folder`` gets every iterate as a PNG, ``losses.jsonl`` and ``sheet.png``, on which
    the best has a frame. UserError where no loss is a number, or for a damaged checkpoint.
    """
    return Iterates(parameters, descent, workspace, title).run(draw, judge)


def forget(folder: Path) -> None:
    """Remove the checkpoint of a descent whose outcome is kept elsewhere."""
    (folder / STATE).unlink(missing_ok=True)


class Iterates:
    """A descent in a folder; nothing but the weights decides what is drawn next."""

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        descent: Descent,
        workspace: Workspace,
        title: str,
    ) -> None:
        self.parameters, self.descent = parameters, descent
        self.workspace, self.folder, self.title = workspace, workspace.folder, title
        self.optimiser = torch.optim.AdamW(
            list(parameters.values()), lr=descent.lr, weight_decay=descent.weight_decay
        )
        self.watch = Watch(descent.patience, descent.threshold)
        self.seen: list[Mapping[str, float]] = []
        self.best: Weights = {}
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        resume(self.folder / STATE, self._restore)

    @property
    def over(self) -> bool:
        return self.watch.over or len(self.seen) >= self.descent.iterations

    def run(self, draw: Draw, judge: Judge) -> Best:
        while not self.over:
            self._iterate(draw, judge)
        for parameter in self.parameters.values():
            parameter.requires_grad_(False)
        if not self.best:
            raise UserError(
                f"What was optimised in {self.folder} came to no number; remove it and give a "
                "smaller option 'lr'."
            )
        _set(self.parameters, self.best)
        self._show()
        image = open_png(self._path(self.watch.best))
        return Best(self.watch.best, self.watch.loss, image)

    def _iterate(self, draw: Draw, judge: Judge) -> None:
        step, images = len(self.seen), draw()
        loss = judge(images)
        figures = {"loss": loss.total.item(), **loss.figures}
        if self.watch.see(figures["loss"]):
            self.best = self._weights()
        self._keep(step, images, figures)
        if not self.over:
            self._descend(loss.total)
        if self.over or len(self.seen) % self.descent.save_every == 0:
            self._save()
        self.workspace.progress(self.title, len(self.seen), self.descent.iterations)

    def _keep(self, step: int, images: Tensor, figures: Mapping[str, float]) -> None:
        [image] = to_images(images.detach().float().cpu())
        save_png(image, self._path(step))
        self.seen.append(figures)
        self.workspace.log({"event": self.title, "step": step, **figures})

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.parameters.values()), self.descent.clip)
        self.optimiser.step()

    def _weights(self) -> Weights:
        """Copies, as the parameters themselves move on."""
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def _save(self) -> None:
        lines = (json.dumps({"step": k, **figures}) + "\n" for k, figures in enumerate(self.seen))
        write_atomically(self.folder / LOSSES, "".join(lines))
        state = {
            "seen": self.seen,
            "best": self.best,
            "weights": self._weights(),
            "optimiser": self.optimiser.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(self.folder / STATE, buffer.getvalue())

    def _restore(self, state: dict[str, Any]) -> None:
        _set(self.parameters, state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best, self.seen = state["best"], state["seen"]
        for figures in self.seen:
            self.watch.see(figures["loss"])

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:03d}.png"

    def _show(self) -> None:
        images = [open_png(self._path(step)) for step in range(len(self.seen))]
        save_png(_sheet(images, self.watch.best), self.folder / SHEET)


def _set(parameters: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def _sheet(images: Sequence[Image.Image], best: int) -> Image.Image:
    """All of them in reading order, a frame around the best."""
    rows, cell = math.ceil(len(images) / COLUMNS), CELL + 2 * FRAME
    sheet = Image.new("RGB", (min(len(images), COLUMNS) * cell, rows * cell), "white")
    for number, image in enumerate(images):
        x, y = number % COLUMNS * cell, number // COLUMNS * cell
        if number == best:
            ImageDraw.Draw(sheet).rectangle((x, y, x + cell - 1, y + cell - 1), fill="red")
        sheet.paste(image.resize((CELL, CELL)), (x + FRAME, y + FRAME))
    return sheet


def save_png(image: Image.Image, path: Path) -> None:
    """Whole or not at all."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def open_png(path: Path) -> Image.Image:
    """Read at once, as RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")
