"""Self-Play: SFO's training on negatives that SFT-base draws from the undegraded condition.

Source: SPIN-Diffusion (arXiv 2402.10210), one iteration, as SFO (arXiv 2506.03621) has it in
Table 4.
"""

from bench.methods import cards
from bench.methods.pairs import SelfPlay as SelfPlaySource
from bench.methods.tuning import Compared


class SelfPlay(Compared):
    """The true target over what the model itself makes of the same condition."""

    name = "self-play"
    card = cards.SELF_PLAY

    def source(self) -> SelfPlaySource:
        return SelfPlaySource()
