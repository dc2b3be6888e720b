"""Metrics as a library: ``from bench.metrics import Dino, encoder``.

``Dino(encoder("dino-vits16"))(images, references)`` gives one number per image. Classes are
imported when they are asked for.
"""

from importlib import import_module
from typing import Any

from bench import registry
from bench.api import Precision

_CLASSES = dict(target.split(":")[::-1] for target in registry.BUILT_IN["metric"].values())
__all__ = ["encoder", *_CLASSES]


def encoder(name: str, precision: Precision = "fp32") -> Any:
    """The encoder, or the comparer, that a name stands for, with its weights from this machine.

    UserError for unknown names and for weights that are not here.
    """
    return registry.load("encoder", name)(precision=precision)


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_CLASSES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
