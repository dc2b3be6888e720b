"""Stock diffusers pipelines as backbones: they draw whole images, and nothing of them is trained.

Weights are the user's own copies; nothing is ever downloaded from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from PIL.Image import Image
from safetensors import SafetensorError

from bench import weights
from bench.errors import UserError
from bench.identity import identity
from bench.methods.backbones.backbone import BackboneSpec
from bench.sources import source

T = TypeVar("T")
MISFITS = (OSError, KeyError, ValueError, RuntimeError, UnpicklingError, SafetensorError)
"""What libraries raise for files that hold another network, or half of one."""


@dataclass(frozen=True)
class PipelineBackbone:
    """A pipeline, and what a run has to know of it."""

    spec: BackboneSpec
    pipeline: Any

    @property
    def device(self) -> torch.device:
        return self.pipeline.device

    @property
    def dtype(self) -> torch.dtype:
        return self.pipeline.dtype

    def draw(self, prompt: str, seed: int, side: int, **arguments: Any) -> Image:
        """One square RGB image; all its randomness is from a (CPU) generator of its own seed.

        ``side`` in pixels; ``arguments`` are the pipeline's own, its width among them where the
        image is no square.
        """
        own = torch.Generator().manual_seed(seed)
        size = {"height": side, "width": side}
        image: Image = self.pipeline(prompt=prompt, generator=own, **{**size, **arguments}).images[
            0
        ]
        return image


def opened(name: str, read: Callable[[Path], T]) -> T:
    """What ``read`` makes of weights. UserError for those that are not here or not whole."""
    path = weights.find(name)
    try:
        return read(path)
    except MISFITS as error:
        raise UserError(
            f"The weights of '{name}' at {path} are damaged or incomplete; fetch them anew: remove "
            f"them and run 'bench weights fetch {name}'."
        ) from error


def pipeline_of(kind: Any, name: str, **parts: Any) -> Any:
    """A pipeline of diffusers from a saved one, some parts given, on the CPU.

    UserError as for ``opened``.
    """
    return opened(
        name,
        lambda folder: kind.from_pretrained(
            folder, dtype=precision(), local_files_only=True, trust_remote_code=False, **parts
        ),
    )


def digest_of(name: str) -> str:
    """Identity of a saved pipeline's weights, whatever else its repository has left beside them."""
    folder = weights.find(name)
    patterns = (pattern for pattern in source(name).files if pattern.endswith(".safetensors"))
    files = sorted(file for pattern in patterns for file in folder.glob(pattern))
    return identity({file.relative_to(folder).as_posix(): weights.digest(file) for file in files})


def placed(pipeline: Any) -> Any:
    """The same pipeline on the accelerator where there is one; it draws no bars of its own."""
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def precision() -> torch.dtype:
    """bf16 on an accelerator, fp32 on the CPU."""
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32
