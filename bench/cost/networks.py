"""Networks without their weights: operations, parameters and activations.

FLUX by formulas, since prompts and references of any length pass through it; others as they were
counted, which ``bench.methods.backbones.counting`` does.
"""

from dataclasses import dataclass
from typing import Protocol


class Network(Protocol):
    """``text`` and ``image`` are tokens, those of a reference beside the image among them."""

    @property
    def parameters(self) -> int: ...

    def forward(self, text: int, image: int) -> float:
        """Operations of one pass of one image, a multiplication and an addition being two."""
        ...

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA on the layers that trainings adapt."""
        ...

    def borders(self, text: int, image: int) -> tuple[float, float]:
        """Numbers kept of an image at the borders of all blocks, and at the widest one."""
        ...

    def prompt(self, text: int) -> float:
        """Numbers of an encoded prompt."""
        ...


@dataclass(frozen=True)
class Flux:
    """FLUX.1's transformer by diffusers' names; the defaults are those of FLUX.1-dev."""

    num_layers: int = 19
    num_single_layers: int = 38
    attention_head_dim: int = 128
    num_attention_heads: int = 24
    in_channels: int = 64
    joint_attention_dim: int = 4096
    pooled_projection_dim: int = 768
    guidance_embeds: bool = True

    @property
    def width(self) -> int:
        return self.attention_head_dim * self.num_attention_heads

    @property
    def blocks(self) -> int:
        return self.num_layers + self.num_single_layers

    @property
    def modulation(self) -> int:
        """Parameters that see an image once, whatever its size."""
        embedders = 256 * (1 + self.guidance_embeds) + self.pooled_projection_dim
        embedders += self.width * (2 + self.guidance_embeds)
        per_block = 12 * self.num_layers + 3 * self.num_single_layers + 2
        return (per_block * self.width + embedders) * self.width

    def forward(self, text: int, image: int) -> float:
        """FLOPs of one pass, a multiplication and an addition being two.

        ``text`` tokens, and ``image`` tokens with those of the reference.
        """
        tokens, width = text + image, self.width
        block = 24 * width**2 * tokens + 4 * width * tokens**2
        ends = 2 * width * (text * self.joint_attention_dim + 2 * image * self.in_channels)
        return self.blocks * block + ends + 2 * self.modulation

    @property
    def parameters(self) -> int:
        """Matrices alone."""
        width = self.width
        ends = self.joint_attention_dim + 2 * self.in_channels
        seen = 24 * self.num_layers + 12 * self.num_single_layers
        return seen * width**2 + self.modulation + ends * width

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA on the layers that OminiControl adapts."""
        wide = 20 * self.num_layers + 21 * self.num_single_layers + 1
        return rank * (wide * self.width + self.in_channels)

    def borders(self, text: int, image: int) -> tuple[float, float]:
        """Every block puts out as many numbers as it is given."""
        each = self.width * (text + image)
        return self.blocks * each, each

    def prompt(self, text: int) -> float:
        return text * self.joint_attention_dim + self.pooled_projection_dim


@dataclass(frozen=True)
class Counted:
    """A network as it was counted at one resolution and one length of prompts.

    ``lora``: parameters of one of rank 1; ``kept`` and ``widest``: numbers of an image at the
    borders of blocks; ``prompt_numbers``: those of an encoded prompt.
    """

    parameters: int
    operations: float
    lora: int
    kept: float
    widest: float
    prompt_numbers: float

    def forward(self, text: int, image: int) -> float:
        return self.operations

    def adapter(self, rank: int) -> int:
        return rank * self.lora

    def borders(self, text: int, image: int) -> tuple[float, float]:
        return self.kept, self.widest

    def prompt(self, text: int) -> float:
        return self.prompt_numbers
