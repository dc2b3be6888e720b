"""Metrics in the shape of torchmetrics, which has to be installed: update, compute, reset.

Images are RGB PIL images or uint8 tensors (N, 3, H, W). States are lists that torchmetrics gathers
across processes; computing is in float64.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
import torchmetrics
from PIL import Image
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from bench.metrics.similarity import embed, given

if TYPE_CHECKING:
    from bench.api import Metric

    Images = Sequence[Image.Image] | Tensor


def as_torchmetric(metric: "Metric") -> torchmetrics.Metric:
    """The same metric, with its encoder or comparer, as a ``torchmetrics.Metric``.

    ``update`` takes ``images`` and ``references``, or ``texts`` one per image, or nothing else
    where images are compared among themselves, or ``real`` (bool) for metrics of two sets.
    ``compute`` gives the mean over all images, or the set's number, as a scalar.
    """
    if metric.kind == "set":
        return OfSets(metric)
    if metric.kind == "image" and cast(Any, metric).text("") is not None:
        return AgainstTexts(metric)
    if getattr(metric, "others", "references") == "siblings":
        return AmongThemselves(metric)
    return AgainstReferences(metric)


class Shaped(torchmetrics.Metric):
    """What the shapes share: one metric of ours, and lists of rows."""

    is_differentiable = False
    full_state_update = False

    def __init__(self, metric: Any, states: Iterable[str] = ("values",)) -> None:
        super().__init__()
        self.ours = metric
        for state in states:
            self.add_state(state, default=[], dist_reduce_fx="cat")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        return bool(self.ours.higher_is_better)

    def rows(self, state: str) -> Tensor:
        """All that was kept. ValueError before the first update."""
        return dim_zero_cat(getattr(self, state))

    def keep(self, state: str, rows: Any) -> None:
        getattr(self, state).append(torch.from_numpy(rows).to(self.device))

    def compute(self) -> Tensor:
        """ValueError before the first update."""
        return self.rows("values").mean()


class AgainstReferences(Shaped):
    """Every image against all references of its update."""

    def update(self, images: "Images", references: "Images") -> None:
        self.keep("values", self.ours(pictures(images), pictures(references)))


class AgainstTexts(Shaped):
    """Every image against its own text."""

    def update(self, images: "Images", texts: Sequence[str]) -> None:
        self.keep("values", self.ours(pictures(images), texts))


class AmongThemselves(Shaped):
    """Every image against the others of its update."""

    def update(self, images: "Images") -> None:
        self.keep("values", self.ours(pictures(images)))


class OfSets(Shaped):
    """All generated images against all real ones."""

    def __init__(self, metric: Any) -> None:
        super().__init__(metric, ("generated", "real"))

    def update(self, images: "Images", real: bool) -> None:
        encoder = given(getattr(self.ours, "_encoder", None), self.ours.name)
        self.keep("real" if real else "generated", embed(encoder, pictures(images)))

    def compute(self) -> Tensor:
        """ValueError when there are too few images."""
        sets = (np.asarray(self.rows(state).cpu()) for state in ("generated", "real"))
        return torch.tensor(self.ours.score(*sets), dtype=torch.float64, device=self.device)


def pictures(images: "Images") -> Sequence[Image.Image]:
    """PIL images from either kind. ValueError for tensors that are not uint8 (N, 3, H, W)."""
    if not isinstance(images, Tensor):
        return images
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"tensors of images are uint8 (N, 3, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    return [Image.fromarray(pixels) for pixels in images.permute(0, 2, 3, 1).cpu().numpy()]
