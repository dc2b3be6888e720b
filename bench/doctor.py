"""What is installed, and which data and weights are here: `bench doctor`."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from bench import __version__, registry
from bench.data import verify
from bench.errors import UserError
from bench.paths import home
from bench.suites import list_suites

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
    for name in registry.names("encoder"):
        found[f"encoder {name}"] = _weights("encoder", name)
    found["backbone mini"] = _weights("backbone", "mini")
    found["backbone flux-dev"] = _flux()
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


def _weights(kind: registry.Kind, name: str) -> str:
    try:
        registry.load(kind, name)()
    except UserError as error:
        return f"missing: {error}"
    return "ready"


def _flux() -> str:
    from bench.methods.backbones.flux_dev import find

    try:
        return f"found in {find()}"
    except UserError as error:
        return f"missing: {error}"
