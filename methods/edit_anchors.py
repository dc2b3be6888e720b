"""Anchors of suites of edits: what a method that edits is read against, drawn by no network."""

from PIL.Image import Image

from bench.api import Question
from bench.errors import UserError
from bench.methods.anchors import Anchor
from bench.mini.edits import render_edit
from bench.suites import load_suite


class CopySource(Anchor):
    """The image that was to be edited, untouched: the background at its best, no subject at all."""

    name = "copy-source"
    edits = True

    def answer(self, question: Question) -> Image:
        """ValueError for a question without an image to be edited."""
        if question.source is None:
            raise ValueError(f"{question.case.file} comes without an image to be edited")
        return question.source


class OracleEdit(Anchor):
    """The true edit, where somebody knows it: the subject in the stranger's pose, all else kept.

    UserError for a suite that does not draw its images itself.
    """

    name = "oracle-edit"
    edits = True

    def answer(self, question: Question) -> Image:
        case = question.case
        suite = load_suite(case.suite)
        if suite.world is None:
            raise UserError(
                f"Nobody knows the true edits of {suite.key}; leave out 'oracle-edit', or choose "
                "a suite that draws its images, such as mini-edit."
            )
        return render_edit(suite, case.subject, case.prompt_index)
