"""What is known of backbones without loading them.

Networks are as their public configurations have them (networks.json, which
``bench.methods.backbones.counting`` writes), or as their own have where these are on this machine.
"""

import json
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path

from bench.cost.networks import Counted, Flux, Network
from bench.sources import SOURCES, source
from bench.weights import here

COUNTED = Path(__file__).with_name("networks.json")


@dataclass(frozen=True)
class Facts:
    """What is known of a backbone without loading it.

    ``steps`` and ``resolution`` as its specification has them; ``text``: tokens of a prompt;
    ``ready``: an SFT model is there without a training; ``network``: None where no estimate is
    made; ``encoders``: parameters of what encodes and decodes; ``batch``: images drawn together;
    ``passes``: of the network at a step, by the backbone's own guidance; ``patch``: pixels to a
    side of a token; ``beside``: references stand beside the image as tokens; ``numbers``: kept of
    a pixel that is encoded; ``on_cpu``: wherever it is run.
    """

    steps: int
    resolution: int
    text: int = 0
    ready: bool = False
    network: Network | None = None
    encoders: float = 0
    batch: int = 1
    passes: int = 1
    patch: int = 16
    beside: bool = False
    numbers: float = 2 * 16 / 64
    on_cpu: bool = False

    @property
    def image_tokens(self) -> int:
        """Of an image; a reference beside it has as many."""
        return (self.resolution // self.patch) ** 2

    def tokens(self, seeing: bool) -> tuple[int, int]:
        """Of a prompt, and of an image with its reference where one is seen."""
        return self.text, self.image_tokens * (2 if seeing and self.beside else 1)

    @property
    def code(self) -> float:
        """Numbers of an encoded image."""
        return self.numbers * self.resolution**2


FLUX_ENCODERS = 4.76e9 + 0.12e9 + 0.08e9
"""T5-XXL's encoder, CLIP-L's text tower and the autoencoder."""
SD_ENCODERS, SD2_ENCODERS = 0.12e9 + 0.08e9, 0.34e9 + 0.08e9
SDXL_ENCODERS = 0.12e9 + 0.69e9 + 0.08e9
SANA_ENCODERS = 2.61e9 + 0.31e9
VIT_BIGG, VIT_H, VIT_L, IMAGE_PROMPT = 1.84e9, 0.63e9, 0.30e9, 0.35e9
"""Eyes of IP-Adapters, and one of these for SD-XL."""
MINI = Flux(2, 3, 32, 5, 48, 96, 96, guidance_embeds=False)
INPAINTING = Flux(num_layers=19 + 6)
"""Its ControlNet is six blocks more."""


def _flux(steps: int, text: int = 512, network: Flux | None = None, side: int = 512) -> Facts:
    known = network or Flux()
    return Facts(steps, side, text, network=known, encoders=FLUX_ENCODERS, beside=True)


@cache
def _counted() -> dict[str, Counted]:
    told = json.loads(COUNTED.read_text(encoding="utf-8"))
    return {name: Counted(**figures) for name, figures in told.items()}


def _unet(name: str, steps: int, side: int, encoders: float, passes: int = 2) -> Facts:
    """One of Stable Diffusion's, classifier-free guided unless told otherwise."""
    return Facts(
        steps,
        side,
        text=77,
        network=_counted()[name],
        encoders=encoders,
        passes=passes,
        numbers=2 * 4 / 64,
    )


def _sdxl(eye: float) -> Facts:
    facts = _unet("sdxl", 50, 1024, SDXL_ENCODERS + eye + IMAGE_PROMPT)
    return replace(facts, ready=True)


def _sana(name: str, side: int) -> Facts:
    network = _counted()[name]
    return Facts(20, side, 300, False, network, SANA_ENCODERS, passes=2, numbers=32 / 1024)


FACTS = {
    "mini": Facts(20, 32, 20, True, MINI, 0.1e6, 16, patch=4, beside=True, numbers=3, on_cpu=True),
    "flux-dev": _flux(28),
    "flux-schnell": _flux(4, 256, Flux(guidance_embeds=False)),
    "flux-kontext": _flux(28, side=1024),
    "flux-inpainting": _flux(30, network=INPAINTING, side=768),
    "flux-ip-adapter": replace(_flux(28), beside=False, encoders=FLUX_ENCODERS + VIT_L),
    "sdxl": _sdxl(VIT_BIGG),
    "sdxl-ip-adapter-vit-h": _sdxl(VIT_H),
    "sdxl-ip-adapter-plus": _sdxl(VIT_H),
    "sd15": _unet("sd15", 50, 512, SD_ENCODERS),
    "instruct-pix2pix": _unet("instruct-pix2pix", 50, 512, SD_ENCODERS),
    "sd21": _unet("sd21", 50, 512, SD2_ENCODERS),
    "sd21-768": _unet("sd21-768", 50, 768, SD2_ENCODERS),
    "sd-turbo": _unet("sd-turbo", 4, 512, SD2_ENCODERS, passes=1),
    "sdxl-turbo": _unet("sdxl-turbo", 4, 512, SDXL_ENCODERS, passes=1),
    "sana": _sana("sana", 1024),
    "sana-512": _sana("sana-512", 512),
}
WEIGHTS = {
    "flux-ip-adapter": "flux-dev",
    "flux-inpainting": "flux-dev",
    "sdxl-ip-adapter-vit-h": "sdxl",
    "sdxl-ip-adapter-plus": "sdxl",
}
"""Whose network a backbone has, where the weights of its name are something beside it."""


def facts_of(backbone: str) -> tuple[Facts | None, str]:
    """What is known of a backbone, and where from: its own configuration, where that is here."""
    facts = FACTS.get(backbone)
    if facts is None:
        return None, "no figures of its network are known here"
    folder = _folder(backbone)
    if folder is None or backbone == "flux-inpainting":
        return facts, "the network is as its public configuration has it"
    return replace(facts, network=_read(folder, facts)), f"the network is that of {folder}"


def _folder(backbone: str) -> Path | None:
    """Where a network's own configuration is, if it is here."""
    name = WEIGHTS.get(backbone, backbone)
    root = here(source(name)) if name in SOURCES else None
    places = (root / part for part in ("transformer", "unet")) if root else ()
    return next((place for place in places if (place / "config.json").is_file()), None)


@cache
def _read(folder: Path, facts: Facts) -> Network:
    """Counting takes seconds, and a sweep asks for every run."""
    if isinstance(facts.network, Flux):
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        known = {field.name: told[field.name] for field in fields(Flux) if field.name in told}
        return Flux(**known)
    counting = import_module("bench.methods.backbones.counting")  # by name: no adapter is imported
    counted: Network = counting.count_folder(folder, facts.resolution, facts.text)
    return counted
