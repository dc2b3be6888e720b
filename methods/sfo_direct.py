"""SFO on the SFT LoRA itself, with no adapter beside it.

Source: SFO (arXiv 2506.03621), Table E.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.errors import UserError
from bench.methods import cards
from bench.methods.backbones.backbone import Backbone
from bench.methods.sfo import Sfo
from bench.methods.tuning import OVERRIDES


class SfoDirect(Sfo):
    """The trained adapter starts as a copy of the SFT LoRA, which stays as the reference model."""

    name = "sfo-direct"
    card = cards.SFO_DIRECT
    revision = 1
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **OVERRIDES,
        "mini": {**OVERRIDES["mini"], "tokens": "reference"},
    }

    def __init__(self, backbone: Backbone, options: Any) -> None:
        super().__init__(backbone, options)
        if backbone.spec.sees_references:
            raise UserError(
                f"The backbone {backbone.spec.name} has no SFT LoRA that 'sfo-direct' could train; "
                "use 'sfo'."
            )
        self.weights = {self.name: 1.0}

    def add_adapter(self) -> None:
        """The SFT LoRA once more, under this method's name."""
        options = self.options
        self.backbone.load_adapter(self.name, self.base.path, options.tokens, options.precision)
