"""The networks that find a subject and its outline, with transformers' own preparation.

Every image passes by itself: padded to a common size with others it would give other digits.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoModelForMaskGeneration,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
)
from transformers.utils import logging

from bench.errors import UserError
from bench.metrics.networks import exactly
from bench.metrics.regions import PREPARATION

if TYPE_CHECKING:
    from bench.metrics.regions import Box, Mask

MISFITS = (OSError, ValueError, RuntimeError, SafetensorError)
"""What transformers raises for a folder that holds another network, or half of one."""


class Detector:
    """A detector of boxes by text, in fp32, on the GPU where there is one."""

    def __init__(self, name: str, folder: Path) -> None:
        self.processor, self.model = loaded(AutoModelForZeroShotObjectDetection, name, folder)

    def best(self, image: Image, text: str) -> "tuple[Box, float]":
        """The box of the highest confidence, however low, and that confidence."""
        inputs = self.processor(images=image, text=text, return_tensors="pt")
        with exactly():
            outputs = self.model(**inputs.to(self.model.device))
        boxes = self.processor.image_processor.post_process_object_detection(
            outputs, threshold=0, target_sizes=[(image.height, image.width)]
        )[0]
        best = boxes["scores"].argmax()
        left, top, right, bottom = boxes["boxes"][best].tolist()
        return (left, top, right, bottom), boxes["scores"][best].item()


class Outliner:
    """A network from boxes to masks, in fp32, on the GPU where there is one."""

    def __init__(self, name: str, folder: Path) -> None:
        self.processor, self.model = loaded(AutoModelForMaskGeneration, name, folder)

    def mask(self, image: Image, box: "Box") -> "Mask":
        """Of the masks proposed for a box the one whose predicted overlap is the largest."""
        masks, overlaps = self._proposed(image, box)
        chosen: Mask = masks[overlaps.argmax()].cpu().numpy()
        return chosen

    def masks(self, image: Image, box: "Box") -> NDArray[np.bool_]:
        """All masks (3, H, W) that are proposed for a box."""
        proposed: NDArray[np.bool_] = self._proposed(image, box)[0].cpu().numpy()
        return proposed

    def _proposed(self, image: Image, box: "Box") -> tuple[Tensor, Tensor]:
        """Masks (3, H, W) and their predicted overlaps (3,)."""
        inputs = self.processor(images=image, input_boxes=[[list(box)]], return_tensors="pt")
        sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
        with exactly():
            outputs = self.model(**inputs.to(self.model.device))
            masks = self.processor.post_process_masks(outputs.pred_masks, *sizes)[0][0]
        return masks, outputs.iou_scores[0, 0]


def loaded(kind: Any, name: str, folder: Path) -> tuple[Any, Any]:
    """A processor and its network. UserError for a folder of other weights, or incomplete ones."""
    try:
        with _quietly():
            processor = AutoProcessor.from_pretrained(
                folder, backend=PREPARATION, local_files_only=True, trust_remote_code=False
            )
            model, report = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        if report["missing_keys"]:
            # transformers would make these up, and every box with them.
            raise ValueError(f"without {min(report['missing_keys'])}")
    except MISFITS as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"The weights {folder} are not those of '{name}' ({reason}); replace the folder."
        ) from error
    return processor, model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


@contextmanager
def _quietly() -> Iterator[None]:
    """No progress bars of transformers."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
