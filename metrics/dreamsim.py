"""DreamSim: distance in a space that was trained on what people find alike."""

from collections.abc import Sequence
from functools import partial

from PIL.Image import Image

from bench.api import Scored
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import Colours, Squash
from bench.metrics.similarity import Floats, Similarity

AS_IS = Colours((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
"""Each branch takes off its own mean and deviation."""


class DreamSim(Similarity):
    """Mean of 1 - cosine between an image's embedding and those of the references that count.

    In [0, 2], lower is closer. Source: Fu et al. 2023, arXiv 2306.09344; the package ``dreamsim``.
    """

    name = "dreamsim"
    encoder = "dreamsim-ensemble"
    higher_is_better = False
    unit = "1 - cosine"

    def score(self, item: Scored) -> float:
        return 1 - super().score(item)

    def __call__(self, images: Sequence[Image], references: Sequence[Image]) -> Floats:
        """(N,) one number per RGB image, each against all ``references``."""
        return 1 - super().__call__(images, references)


def _encoder(name: str) -> partial[NetworkEncoder]:
    build = f"bench.metrics.dreamsim_network:{name.replace('-', '_')}"
    return partial(NetworkEncoder, name, build, Squash(224), AS_IS)


# Weights are folders: what the package leaves in its own cache directory (dreamsim_network.py).
dreamsim_ensemble = _encoder("dreamsim-ensemble")
dreamsim_dino_vitb16 = _encoder("dreamsim-dino-vitb16")
dreamsim_clip_vitb32 = _encoder("dreamsim-clip-vitb32")
dreamsim_open_clip_vitb32 = _encoder("dreamsim-open-clip-vitb32")
