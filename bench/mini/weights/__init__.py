"""The mini world's networks as safetensors in half precision, with their model card."""

from pathlib import Path


def weights_file(name: str) -> Path:
    """Where the weights of a network lie, whether they are there or not."""
    return Path(__file__).parent / f"{name}.safetensors"
