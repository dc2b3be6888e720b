"""RPO's formulas: the lambda-harmonic reward, the labels that it gives, and the loss on them.

Pure functions. Source: RPO (Miao et al. 2024, arXiv 2407.12164) and its released code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn import functional as F

Numbers = NDArray[np.float64]
SMALL = 1e-8
"""Added to a similarity before it is divided by, as the code does."""


def similarity(cosines: Numbers) -> Numbers:
    """Cosines in [-1, 1] to similarities in [0, 1]."""
    return (cosines + 1) / 2


def harmonic(to_references: Numbers, to_text: Numbers, share: float) -> Numbers:
    """1 / (share / to_references + (1 - share) / to_text), in [0, 1].

    ``share`` (lambda) is the weight of the references, in [0, 1]; at either end it is the one
    similarity itself. Source: evaluation_metrics.py.
    """
    if share in (0, 1):
        return to_references if share else to_text
    return 1 / (share / (to_references + SMALL) + (1 - share) / (to_text + SMALL))


def chance(photographs: Numbers, generated: Numbers) -> Numbers:
    """How likely a photograph is labelled the better one: sigmoid of the rewards' difference."""
    preferred: Numbers = expit(photographs - generated)
    return preferred


@dataclass(frozen=True)
class Loss:
    """What is minimised, and its two parts to watch."""

    total: Tensor
    fidelity: float
    preference: float


def loss(
    policy: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    labels: Tensor,
    beta: float = 1.0,
) -> Loss:
    """Mean error on photographs - mean of y log sigmoid(k) + (1 - y) log sigmoid(-k).

    ``policy`` and ``reference``: per-sample errors (B,) on photographs and on generated images;
    k = beta x (what the policy gains on the photograph - what it gains on the generated image).
    ``labels`` (B,): 1 where the photograph is the better one. Source: train.py, which reads a beta
    and leaves it out of k, and train_sdxl.py, which has it there.
    """
    margin = beta * ((reference[0] - policy[0]) - (reference[1] - policy[1]))
    liked = labels * F.logsigmoid(margin) + (1 - labels) * F.logsigmoid(-margin)
    fidelity, preference = policy[0].mean(), -liked.mean()
    return Loss(fidelity + preference, fidelity.item(), preference.item())
