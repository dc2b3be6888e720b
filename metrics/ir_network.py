"""The network of IR: CLIP's ViT-H/14 with overlapping patches and a linear layer to 64 numbers.

Source: Shao and Cui 2022, arXiv 2210.08473.
"""

from dataclasses import dataclass
from pathlib import Path

from open_clip.factory import load_state_dict
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from bench.metrics.networks import Towers

STRIDE = 12
"""Two pixels less than the patches are wide: 290 pixels make 24 x 24 of them, as 336 would."""


@dataclass(frozen=True)
class Shape:
    """The tower's size; the defaults are the published network's."""

    width: int = 1280
    layers: int = 32
    heads: int = 16
    projected: int = 1024
    embedded: int = 64


PUBLISHED = Shape()


def guie_vith14(weights: Path, shape: Shape = PUBLISHED) -> Towers:
    """The network with weights from a file. RuntimeError for weights of another network."""
    model = build(shape)
    # The margin head, fc2, served the training alone.
    state = {_bare(name): value for name, value in load_state_dict(str(weights)).items()}
    model.load_state_dict({name: state[name] for name in state if not name.startswith("fc2.")})
    return Towers(model, model)


def build(shape: Shape = PUBLISHED) -> nn.Module:
    """(B, 3, 290, 290) pixels to (B, 64), the dropout between the layers left out."""
    tower = VisionTransformer(
        image_size=336,
        patch_size=14,
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        mlp_ratio=4.0,
        output_dim=shape.projected,
    )
    tower.conv1.stride = (STRIDE, STRIDE)
    return Embedded(tower, nn.Linear(shape.projected, shape.embedded))


class Embedded(nn.Module):
    """A tower and the layer on top; the names are the checkpoint's."""

    def __init__(self, backbone: nn.Module, fc1: nn.Module) -> None:
        super().__init__()
        self.backbone, self.fc1 = backbone, fc1

    def forward(self, pixels: Tensor) -> Tensor:
        embedded: Tensor = self.fc1(self.backbone(pixels))
        return embedded


def _bare(name: str) -> str:
    # Several rounds of data-parallel training each left their prefix.
    return name.rpartition("module.")[2]
