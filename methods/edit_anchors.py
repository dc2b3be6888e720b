"""Anchors of suites of edits: what a method that edits is read against, drawn by no network."""

from PIL.Image import Image

from bench.api import Question
from bench.methods.anchors import Anchor


class CopySource(Anchor):
    """The image that was to be edited, untouched: the background at its best, no subject at all."""

    name = "copy-source"
    edits = True

    def answer(self, question: Question) -> Image:
        """ValueError for a question without an image to be edited."""
        if question.source is None:
            raise ValueError(f"{question.case.file} comes without an image to be edited")
        return question.source
