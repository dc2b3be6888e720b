"""IR: subject fidelity to an encoder that was trained to retrieve instances."""

from functools import partial

from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import CLIP, ShortestSide
from bench.metrics.similarity import Similarity


class Ir(Similarity):
    """Mean cosine between an image's IR embedding and those of the references that count.

    In [-1, 1], raw. Source: SISO (Shpitzer et al. 2025), with the network of Shao and Cui 2022
    (arXiv 2210.08473), first in Google's Universal Image Embedding challenge.
    """

    name = "ir"
    encoder = "ir-guie-vith14"


# Its authors trained on images squashed to 290 x 290; open_clip's own evaluation transform, which
# users of the network take, crops.
ir_guie_vith14 = partial(
    NetworkEncoder,
    "ir-guie-vith14",
    "bench.metrics.ir_network:guie_vith14",
    ShortestSide(290, 290),
    CLIP,
)
