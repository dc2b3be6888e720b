"""Inception as FID, KID and others use it: Google's network of 2015-12-05, up to its last pool.

It is torchvision's with three differences: average pools do not count the padding, the last block
takes a maximum where the others take an average, and 1008 classes are told apart.
Source: torch-fidelity, feature_extractor_inceptionv3.py; pytorch-fid, inception.py.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from open_clip.factory import load_state_dict
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception as blocks

from bench.metrics.networks import Towers

CLASSES = 1008


def inception_2015(weights: Path) -> Towers:
    """(B, 3, 299, 299) pixels in [-1, 1] to (B, 2048), with weights that torch-fidelity publishes.

    RuntimeError for weights of another network.
    """
    model = build()
    model.load_state_dict(load_state_dict(str(weights)))
    model.fc = nn.Identity()
    return Towers(model, model)


def build() -> blocks.Inception3:
    """The network with its classes, at random."""
    kinds = [blocks.BasicConv2d, MixedA, blocks.InceptionB, MixedC]
    kinds += [blocks.InceptionD, MixedE, blocks.InceptionAux]
    model = blocks.Inception3(
        num_classes=CLASSES, aux_logits=False, inception_blocks=kinds, init_weights=False
    )
    model.Mixed_7c.pool = maximum
    return model.eval()


def average(x: Tensor) -> Tensor:
    """Mean of every pixel and its neighbours, without the padding."""
    return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def maximum(x: Tensor) -> Tensor:
    """Maximum of every pixel and its neighbours."""
    return F.max_pool2d(x, kernel_size=3, stride=1, padding=1)


class MixedA(blocks.InceptionA):
    """Blocks 5b to 5d."""

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(average(x))], 1)


class MixedC(blocks.InceptionC):
    """Blocks 6b to 6e."""

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(average(x))], 1)


class MixedE(blocks.InceptionE):
    """Blocks 7b and 7c."""

    pool: Callable[[Tensor], Tensor] = staticmethod(average)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        halves = [self.branch3x3_2a(once), self.branch3x3_2b(once)]
        halves += [self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *halves, self.branch_pool(self.pool(x))], 1)
