"""DPO-DINO: SFO's training on pairs of the model's own images, labelled by an encoder.

Source: the baseline of SFO (arXiv 2506.03621), Table 4. What the images are compared with is not
stated there: the reference.
"""

from typing import Any

from bench.api import Workspace
from bench.errors import UserError
from bench.methods import cards
from bench.methods.backbones.backbone import Backbone
from bench.methods.choice import winners
from bench.methods.examples import Example
from bench.methods.pair_folder import PairFolder
from bench.methods.pairs import SelfPlay
from bench.methods.tuning import Compared


class DpoDino(Compared):
    """Of two images of one condition, the one that is more like the reference is preferred."""

    name = "dpo-dino"
    card = cards.DPO_DINO

    def __init__(self, backbone: Backbone, options: Any) -> None:
        super().__init__(backbone, options)
        if options.difficulty != "all":
            raise UserError(
                "The option difficulty is of pairs with a true target, and dpo-dino has none; "
                "leave it out."
            )

    def source(self) -> SelfPlay:
        return SelfPlay(draws=2)

    def chosen(self, pairs: PairFolder, workspace: Workspace) -> list[Example]:
        labels = winners(self.similarities(pairs, workspace))
        if not labels:
            raise UserError(
                f"All images in {pairs.folder} are equally like their references, so none is to be "
                "preferred; give another encoder by the option judge."
            )
        return [
            Example(index, pairs.opener(index, winner), pairs.opener(index, loser))
            for index, (winner, loser) in labels.items()
        ][: self.options.negatives]
