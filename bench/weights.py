"""Weights: where every network's come from, whether they are here, and what they hash to."""

from pathlib import Path

from bench.identity import file_digest
from bench.paths import home


def find(name: str) -> Path:
    """The file or folder of an encoder or backbone on this machine."""
    return home() / "weights" / f"{name}.safetensors"


def digest(path: Path) -> str:
    """SHA-256 of a weights file."""
    return file_digest(path)
