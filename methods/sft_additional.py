"""SFT-additional: SFO's adapter and budget, but trained on true targets alone.

Source: SFO (arXiv 2506.03621), Table 4.
"""

from bench.methods import cards
from bench.methods.tuning import Tuned


class SftAdditional(Tuned):
    """More supervised training of SFT-base, in an adapter of its own."""

    name = "sft-additional"
    card = cards.SFT_ADDITIONAL
