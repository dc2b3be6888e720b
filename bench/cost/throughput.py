"""How fast this machine was found to be: `bench bench` measures, dry runs go by it."""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench import __version__
from bench.api import Frozen
from bench.paths import cache
from bench.store import in_turn, write_atomically

FILE = "throughput.json"


class Speed(Frozen):
    """What one backbone or encoder takes on one device, in seconds for each image.

    Of a backbone: ``alone``, a pass of the network without a reference; ``seeing``, with one where
    it sees any; ``training``, a pass forth and back through a LoRA; ``beside``, what an image
    takes apart from passes: its prompt, its decoding. Of an encoder: ``image``.
    """

    kind: Literal["backbone", "encoder"]
    name: str
    digest: str
    device: str
    dtype: str
    version: str = __version__
    date: date
    seconds: dict[str, float]
    bytes_per_image: float | None = None
    """Of a PNG that was drawn."""

    @property
    def key(self) -> tuple[str, ...]:
        """A measurement takes the place of an earlier one of the same."""
        return (self.kind, self.name, self.digest, self.device, self.dtype, self.version)

    def time(self, forwards: int, backwards: int, images: int, seeing: bool) -> float:
        """Seconds of so many passes of one image, and of so many images beside these.

        Every pass back has one forth among ``forwards``.
        """
        own = self.seconds
        forth = own["seeing"] if seeing and "seeing" in own else own["alone"]
        back = max(own["training"] - own["alone"], 0.0) * forth / own["alone"]
        return forwards * forth + backwards * back + images * own["beside"]


def measured(
    kind: str, name: str, device: str, folder: Path | None = None, version: str = __version__
) -> Speed | None:
    """What was measured last on a device by this version; None where nothing was."""
    found = [
        speed
        for speed in read(folder)
        if (speed.kind, speed.name, speed.device, speed.version) == (kind, name, device, version)
    ]
    return max(found, key=lambda speed: speed.date, default=None)


def read(folder: Path | None = None) -> list[Speed]:
    """All that was measured; a file that is damaged says nothing, and is written anew."""
    path = (folder or cache()) / FILE
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return [Speed.model_validate(each) for each in told["measured"]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return []


def remember(speeds: Iterable[Speed], folder: Path | None = None) -> Path:
    """Keep measurements beside the others; returns the file."""
    kept = folder or cache()
    with in_turn(kept):
        known = {speed.key: speed for speed in [*read(kept), *speeds]}
        document = {
            "schema_version": 1,
            "measured": [speed.model_dump(mode="json") for speed in known.values()],
        }
        write_atomically(kept / FILE, json.dumps(document, indent=1) + "\n")
    return kept / FILE
