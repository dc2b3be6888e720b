"""Where the candidates of comparative methods are drawn from. They know no backbone's insides."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image

from bench.errors import UserError
from bench.identity import Json, file_digest, seed_of
from bench.methods.captions import read_captions
from bench.methods.corpora import Triplet
from bench.methods.degradations import Degradation, degraded

TextDegradation = Literal["generic", "hallucinated", "none"]
"""The prompt a negative is drawn from: one that says nothing but the item, one that is wrong about
it, or the triplet's own."""


class PairSource(Protocol):
    """Says what ``draws`` candidate images of a triplet are drawn from."""

    draws: int

    def specification(self) -> Json:
        """All that the candidates follow from, the corpus and the sampler aside."""
        ...

    def condition(self, index: int, triplet: Triplet) -> tuple[str, Image.Image]:
        """The prompt and the reference that a triplet's candidates are drawn from."""
        ...


@dataclass(frozen=True)
class Cdns:
    """Condition-degradation negative sampling: a worse reference, a worse prompt, or both.

    ``radius`` is PIL's Gaussian radius at 512 pixels, ``deviation`` the standard deviation of noise
    on pixels in [0, 1]. ``generic`` may name ``{item}``. ``captions``: a JSON Lines file with an
    ``index`` and a ``caption`` per triplet, for corpora that bring no hallucinated ones.
    Source: SFO (arXiv 2506.03621), Sec. 3.3 and Table 5.
    """

    image: Degradation = "blur"
    text: TextDegradation = "generic"
    radius: float = 5.0
    deviation: float = 0.3
    generic: str = "a photo of {item}"
    captions: Path | None = None
    draws: int = 1

    def specification(self) -> Json:
        said: dict[str, Json] = {"source": "cdns", "image": self.image, "text": self.text}
        if self.image == "blur":
            said["radius"] = self.radius
        if self.image == "noise":
            said["deviation"] = self.deviation
        if self.text == "generic":
            said["generic"] = self.generic
        if self.text == "hallucinated":
            said["captions"] = file_digest(self.captions) if self.captions else None
        if self.draws > 1:
            said["draws"] = self.draws
        return said

    def condition(self, index: int, triplet: Triplet) -> tuple[str, Image.Image]:
        seed = seed_of("degradation", index)
        image = degraded(triplet, self.image, self.radius, self.deviation, seed)
        return self._prompt(index, triplet), image

    def _prompt(self, index: int, triplet: Triplet) -> str:
        if self.text == "generic":
            return self.generic.replace("{item}", triplet.item)
        if self.text == "none":
            return triplet.prompt
        if self.captions:
            return self._caption(self.captions, index)
        if triplet.hallucinated is None:
            raise UserError(
                "This corpus has no hallucinated captions; write them with 'bench pairs caption' "
                "and name the file with --set captions=FILE."
            )
        return triplet.hallucinated

    def _caption(self, file: Path, index: int) -> str:
        if index not in self._captions:
            raise UserError(
                f"{file} has no caption for triplet {index}; write the missing ones with "
                "'bench pairs caption', which continues the file."
            )
        return self._captions[index]

    @cached_property
    def _captions(self) -> dict[int, str]:
        return read_captions(self.captions) if self.captions else {}


@dataclass(frozen=True)
class SelfPlay:
    """What the model makes of the very condition, ``draws`` times: one iteration of self-play.

    Source: SPIN-Diffusion (arXiv 2402.10210), as SFO (arXiv 2506.03621) compares it in Table 4.
    """

    draws: int = 1

    def specification(self) -> Json:
        return {"source": "self-play", "draws": self.draws}

    def condition(self, index: int, triplet: Triplet) -> tuple[str, Image.Image]:
        return triplet.prompt, triplet.reference
