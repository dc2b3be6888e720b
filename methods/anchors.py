"""Anchors: what a board is read against, drawn by no network: photographs of the suite, and noise.

A measured method belongs between them. Which photograph answers a case follows from the case's
noise seed, and photographs keep their size.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from pydantic import Field

from bench.api import Case, Frozen, Question, Scope, Workspace
from bench.errors import UserError
from bench.gallery import Gallery
from bench.suites import Suite, load_suite

Photograph = tuple[str, str]
"""Subject directory and file name."""


class NoOptions(Frozen):
    """There is nothing to choose."""


class Anchor(ABC):
    """What anchors have in common: nothing is trained and no backbone is loaded."""

    name: str
    revision = 1
    scope: Scope = "none"
    needs_backbone = False
    Options: ClassVar[type[Frozen]] = NoOptions
    overrides: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, backbone: object, options: Frozen) -> None:
        self.inputs: dict[str, str] = {}

    def train(self, workspace: Workspace) -> None:
        self.log = workspace.log

    def generate(self, questions: Sequence[Question]) -> list[Image.Image]:
        return [self.answer(question) for question in questions]

    @abstractmethod
    def answer(self, question: Question) -> Image.Image:
        """One RGB image."""


class CopyReference(Anchor):
    """The photograph that the method was given: what copying it comes to."""

    name = "copy-reference"

    def answer(self, question: Question) -> Image.Image:
        return question.reference


class FromSuite(Anchor):
    """An anchor that shows photographs which methods are not given."""

    def __init__(self, backbone: object, options: Frozen) -> None:
        super().__init__(backbone, options)
        self._galleries: dict[str, Gallery] = {}

    def answer(self, question: Question) -> Image.Image:
        subject, file = self.pick(question.case)
        return self.gallery(question.case)(subject)[file].open()

    def pick(self, case: Case) -> Photograph:
        choices = self.choices(case)
        return choices[case.noise_seed % len(choices)]

    @abstractmethod
    def choices(self, case: Case) -> list[Photograph]:
        """The photographs that may answer a case, at least one. UserError where there is none."""

    def gallery(self, case: Case) -> Gallery:
        if case.suite not in self._galleries:
            self._galleries[case.suite] = Gallery(load_suite(case.suite))
        return self._galleries[case.suite]


class Oracle(FromSuite):
    """Another photograph of the subject than the one given: the ceiling, leaving one out.

    No metric holds a photograph against itself (``shown``), as in DreamBooth's (arXiv 2208.12242)
    row of real images. UserError for a subject with one photograph.
    """

    name = "oracle"

    def choices(self, case: Case) -> list[Photograph]:
        others = sorted(self.gallery(case)(case.subject).keys() - {case.reference})
        if not others:
            raise UserError(
                f"{case.suite} has one photograph of {case.subject}, and an oracle shows another "
                "than the one given; run 'copy-reference' on this suite."
            )
        return [(case.subject, file) for file in others]

    def shown(self, case: Case) -> str:
        """File name of the photograph that answers a case."""
        return self.pick(case)[1]


class WrongSubject(FromSuite):
    """A photograph of another subject of the same class: what likeness in kind alone comes to.

    A subject that is alone in its class is answered by another class, and the log says so.
    UserError for a suite with one subject.
    """

    name = "wrong-subject"

    def __init__(self, backbone: object, options: Frozen) -> None:
        super().__init__(backbone, options)
        self._choices: dict[Photograph, list[Photograph]] = {}

    def choices(self, case: Case) -> list[Photograph]:
        asked = case.suite, case.subject
        if asked not in self._choices:
            self._choices[asked] = self._of_others(self.gallery(case).suite, case.subject)
        return self._choices[asked]

    def _of_others(self, suite: Suite, asked: str) -> list[Photograph]:
        noun = next(s.class_noun for s in suite.subjects if s.directory == asked)
        others = [s for s in suite.subjects if s.directory != asked]
        if not others:
            raise UserError(f"{suite.key} has no subject but {asked}; leave out 'wrong-subject'.")
        alike = [s for s in others if s.class_noun == noun]
        if not alike:
            self.log({"event": "another class", "subject": asked, "alone_in_class": noun})
        return [(s.directory, file) for s in alike or others for file in s.references]


class NoiseOptions(Frozen):
    """How large the noise is."""

    side: int | None = Field(
        None, gt=0, description="pixels; default: the reference's shorter side, at most 512"
    )


class Noise(Anchor):
    """Uniform noise from the case's own generator: the floor."""

    name = "noise"
    Options = NoiseOptions

    def __init__(self, backbone: object, options: NoiseOptions) -> None:
        super().__init__(backbone, options)
        self.side = options.side

    def answer(self, question: Question) -> Image.Image:
        side = self.side or min(*question.reference.size, 512)
        own = np.random.default_rng(question.case.noise_seed)
        return Image.fromarray(own.integers(0, 256, (side, side, 3), dtype=np.uint8))
