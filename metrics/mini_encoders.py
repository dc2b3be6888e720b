"""The mini world's own encoders: the shapes of DINO and CLIP at a tiny size.

They know the procedural world alone; a board that uses them says so. Images of any size are
brought to 32 pixels first.
"""

from bench.api import Precision
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import GREY, ShortestSide
from bench.mini.weights import weights_file

SIZE = 32


def mini_dino(precision: Precision = "fp32") -> NetworkEncoder:
    """The judge of identity in the mini world: the CLS token (96) of a ViT.

    Trained by supervised contrast over the identities of its training subjects.
    """
    return _mini("mini-dino", precision)


def mini_clip(precision: Precision = "fp32") -> NetworkEncoder:
    """The judge of scenes in the mini world: images and full prompts of its grammar, 64 numbers."""
    return _mini("mini-clip", precision)


def _mini(name: str, precision: Precision) -> NetworkEncoder:
    build = f"bench.metrics.mini_networks:{name.replace('-', '_')}"
    prepare = ShortestSide(SIZE, SIZE)
    return NetworkEncoder(name, build, prepare, GREY, precision, path=weights_file(name))
