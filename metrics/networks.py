"""Running an encoder's network: batches, precision, device. The builders are beside it.

Only what has to be encoded brings this module, and torch, into a process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.metrics.preparation import Colours

if TYPE_CHECKING:
    from bench.api import Embeddings, Pixels, Precision

T = TypeVar("T")
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16}
DTYPES["bf16"] = torch.bfloat16
LEAST = 8
"""Images that a network is shown at once: fewer go through other kernels, which round otherwise."""


@dataclass(frozen=True)
class Towers:
    """A network as an encoder needs it.

    ``images`` takes (B, 3, H, W) normalised pixels to (B, D) features; ``texts`` takes token ids
    from ``tokens`` to (B, D).
    """

    module: nn.Module
    images: Callable[[Tensor], Tensor]
    tokens: Callable[[list[str]], Tensor] | None = None
    texts: Callable[[Tensor], Tensor] | None = None


class Runner:
    """Towers on the GPU where there is one, in a precision, batch by batch."""

    def __init__(self, towers: Towers, precision: "Precision", batch: int) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = DTYPES[precision]
        self.precision, self.batch, self.towers = precision, batch, towers
        towers.module.to(self.device, self.dtype).eval()

    def images(self, prepared: Sequence["Pixels"], colours: Colours) -> "Embeddings":
        """(N, D) float32 from (H, W, 3) pixels in 0..255, all of one size."""
        return self._rows(self._seen(part, colours) for part in _parts(prepared, self.batch))

    def texts(self, texts: Sequence[str]) -> "Embeddings":
        """(N, D) float32. ValueError without a text tower."""
        tokens, embed = self.towers.tokens, self.towers.texts
        if tokens is None or embed is None:
            raise ValueError("this network reads images only")
        parts = _parts(texts, self.batch)
        return self._rows(embed(tokens(list(part)).to(self.device)) for part in parts)

    def _seen(self, part: Sequence["Pixels"], colours: Colours) -> Tensor:
        shown = [*part, *[part[-1]] * (LEAST - len(part))]
        return self.towers.images(self._normalised(np.stack(shown), colours))[: len(part)]

    def _normalised(self, pixels: "Pixels", colours: Colours) -> Tensor:
        # The order of operations is torchvision's, so that the bits are.
        batch = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).contiguous()
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(3, 1, 1)
            for values in (colours.mean, colours.std)
        )
        return batch.float().div_(255).sub_(mean).div_(std).to(self.dtype)

    def _rows(self, batches: Iterator[Tensor]) -> "Embeddings":
        with exactly(self.precision):
            rows = [batch.float().cpu() for batch in batches]
        return torch.cat(rows).numpy() if rows else np.zeros((0, 0), np.float32)


@contextmanager
def exactly(precision: "Precision" = "fp32") -> Iterator[None]:
    """No gradients, and fp32 that is fp32 whatever a method chose for its own speed."""
    before = torch.get_float32_matmul_precision()
    fast = precision == "tf32"
    torch.set_float32_matmul_precision("high" if fast else "highest")
    cudnn = torch.backends.cudnn
    try:
        with torch.inference_mode(), cudnn.flags(enabled=cudnn.enabled, allow_tf32=fast):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
