"""What decoding may save memory by; images are the same, but for tiles' seams."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Decoding:
    """``checkpoints``: the backward pass computes the decoder's activations again; ``slices``: one
    image at a time; ``tiles``: large images piece by piece, blended where pieces meet.
    """

    checkpoints: bool = False
    slices: bool = False
    tiles: bool = False

    def apply(self, vae: Any) -> None:
        """Set one of diffusers' autoencoders to it."""
        vae.enable_slicing() if self.slices else vae.disable_slicing()
        vae.enable_tiling() if self.tiles else vae.disable_tiling()
        for block in vae.decoder.up_blocks:
            # AutoencoderDC knows no checkpointing of its own, so that both are wrapped alike
            vars(block).pop("forward", None)
            if self.checkpoints:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
