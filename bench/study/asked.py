"""What raters are asked of two images. Source: SFO, section D.4; SISO, appendix B."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.errors import UserError, unknown

Choice = Literal["left", "right", "equal"]


@dataclass(frozen=True)
class Asked:
    """A question: what a table calls it, what raters are told to look at, what they are asked."""

    title: str
    instruction: str
    sentence: str


QUESTIONS = {
    "fidelity": Asked(
        "Subject Fidelity",
        "Look at the reference photographs first, then at the subject in each image: is it the "
        "same one, in kind and in detail? Clothes, hats and surroundings do not count.",
        "In which image is the subject more like the one in the references?",
    ),
    "alignment": Asked(
        "Text Alignment",
        "Read the text first, then look at each image: does it show what the text says?",
        "Which image fits the text better?",
    ),
    "naturalness": Asked(
        "Naturalness",
        "Look at each image as a whole: could it be a real picture, without flaws and oddities?",
        "Which image looks more natural?",
    ),
    "background": Asked(
        "Background Preservation",
        "Look at the image that was to be edited: is everything but the subject still as it was?",
        "Which image keeps the background of the edited image better?",
    ),
}
OF_EDITS = "background"
"""The question that only suites of edits can be asked."""


def known(name: str) -> str:
    """The name of a question. ValueError for any other."""
    if name not in QUESTIONS:
        raise ValueError(f"there is no question '{name[:40]}'")
    return name


def chosen(names: Iterable[str], edits: bool) -> tuple[str, ...]:
    """The questions of a study. UserError for unknown, repeated and inapplicable ones."""
    found = tuple(names)
    for name in found:
        if name not in QUESTIONS:
            raise unknown("question", name, QUESTIONS)
    if not found or len(set(found)) != len(found):
        raise UserError("Name at least one question in '--questions', and each of them once.")
    if OF_EDITS in found and not edits:
        raise UserError(
            f"'{OF_EDITS}' asks about images that were edited, and this suite edits none: leave "
            "it out of '--questions'."
        )
    return found
