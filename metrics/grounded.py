"""In how many images the subject was found: what the numbers of a region rest on."""

from typing import Literal

from bench.api import Region, Scored


class Grounded:
    """Share of images in which the subject was found; the others are shown whole.

    1.0 or 0.0 per image, through the same region as the numbers it stands beside. ValueError where
    the protocol shows whole images, since nothing is looked for there.
    """

    name = "grounded"
    version = 1
    kind: Literal["image"] = "image"
    higher_is_better = True
    unit = "share"
    encoder = "dino-vits16"
    region: Region = "box"

    def __init__(self, encoder: object = None) -> None:
        """What is said does not depend on the encoder."""

    def text(self, prompt: str) -> str | None:
        """None: prompts are not looked at."""
        return None

    def score(self, item: Scored) -> float:
        if item.found is None:
            raise ValueError(f"{self.name} needs a region that is looked for, such as box")
        return float(item.found)
