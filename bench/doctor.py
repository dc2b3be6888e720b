"""What is installed, and which data and weights are here: `bench doctor`."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from bench import __version__
from bench.data import verify
from bench.paths import home
from bench.sources import SOURCES, Source
from bench.suites import list_suites
from bench.weights import absence, here

PACKAGES = ("torch", "diffusers", "transformers", "peft", "open_clip_torch", "timm", "prodigyopt")


def examine() -> dict[str, str]:
    """Findings by name, in the order to read them."""
    place = home()
    found = {
        "subjectbench": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "device": _device(),
        "home": str(place),
        "free disk": _free(),
    }
    for suite in list_suites():
        found[f"data of {suite.key}"] = verify(suite).sentence
    for known in SOURCES.values():
        found[f"{known.kind} {known.name}"] = _weights(known)
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def _free() -> str:
    place = home()
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 1e9:.0f} GB at {place}"


def _weights(known: Source) -> str:
    path = here(known)
    return "ready" if path else f"missing: {absence(known)}"
