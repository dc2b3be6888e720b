"""SFO: subject fidelity optimisation, a LoRA beside the frozen SFT LoRA that learns from pairs.

The positive is the true target, the negative what SFT-base draws from a degraded condition.
Source: "Subject Fidelity Optimization" (arXiv 2506.03621), Sec. 3, Eq. 3, Fig. C.
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from bench.errors import UserError
from bench.identity import file_digest
from bench.methods import cards
from bench.methods.backbones.backbone import Backbone
from bench.methods.degradations import Degradation
from bench.methods.pairs import Cdns, TextDegradation
from bench.methods.tuning import Compared, PairOptions


class SfoOptions(PairOptions):
    """The paper's settings, one option per ablation."""

    image: Degradation = Field("blur", description="how CDNS degrades the reference")
    blur: float = Field(5.0, ge=0, description="Gaussian radius at 512 px, for image=blur")
    image_noise: float = Field(
        0.3, ge=0, description="standard deviation on pixels in [0, 1], for image=noise"
    )
    text: TextDegradation = Field("generic", description="how CDNS degrades the prompt")
    generic: str = Field("a photo of {item}", description="the prompt of text=generic")
    captions: Path | None = Field(
        None, description="JSON Lines of captions for text=hallucinated; default: the corpus's own"
    )


class Sfo(Compared):
    """SFT-base plus an adapter that prefers the true subject to a degraded one."""

    name = "sfo"
    card = cards.SFO
    revision = 2
    Options: ClassVar = SfoOptions

    def __init__(self, backbone: Backbone, options: Any) -> None:
        super().__init__(backbone, options)
        if options.captions:
            if not options.captions.is_file():
                raise UserError(f"There are no captions at {options.captions}; check the path.")
            self.inputs["captions"] = file_digest(options.captions)

    def source(self) -> Cdns:
        options = self.options
        return Cdns(
            image=options.image,
            text=options.text,
            radius=options.blur,
            deviation=options.image_noise,
            generic=options.generic,
            captions=options.captions,
        )
