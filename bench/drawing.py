"""What lies between a plan and its images: training as a method's scope says, then drawing.

Images are drawn in fixed groups, each whole, so that resuming changes no image. Where a method
trains per subject, no group spans two of them and no subject's weights outlive it: a subject's
images do not depend on which others are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from bench.api import Case, Material, Method, Question, SubjectMethod, Workspace
from bench.errors import UserError
from bench.gallery import Gallery
from bench.pieces import Span
from bench.plan import Plan
from bench.processes import processes
from bench.questions import Questions
from bench.store import ImageStore
from bench.trainings import Trainings

if TYPE_CHECKING:
    from PIL.Image import Image

Stage = Callable[[str], AbstractContextManager[None]]
"""Measures how long the stage of this name takes; stages of one name add up."""
GENERATE = "generate"


@dataclass
class Easel:
    """What drawing goes on: a method that answers a plan, its workspace, and how much at once.

    ``stage`` is told what takes how long; trainings are taken from ``trainings`` where they are
    kept, and kept there otherwise.
    """

    plan: Plan
    method: Method
    batch: int
    workspace: Workspace
    stage: Stage
    trainings: Trainings | None = None
    _trained: bool = field(default=False, init=False)

    def train(self) -> None:
        """What all subjects share: train, or load what is trained; once."""
        if not self._trained:
            with self.stage("train"), processes().led(self._shared()):
                self.method.train(self.workspace)
        self._trained = True

    def draw(self, span: Span, store: ImageStore, finished: frozenset[str] = frozenset()) -> None:
        """The images of a span that are not ``finished``, trained for before where need be."""
        self.train()
        cases = self.plan.cases[span.start : span.stop]
        if self.method.scope == "subject" and not _all_in(cases, store, finished):
            with self.stage("train"):
                self._train_subject(cases[0])
        with self.stage(GENERATE):
            self._draw(cases, store, finished)

    def _train_subject(self, case: Case) -> None:
        method, directory = cast(SubjectMethod, self.method), case.subject
        place = f"{self._numbers[directory]}/{len(self._numbers)}"
        own = _own(self.workspace, directory, f"{directory} {place}")
        material = _material(self.plan, self._gallery, case)
        if self.trainings is None:
            method.train_subject(material, own)
            return
        with self.trainings.of_subject(case).shared(own.folder, own.progress):
            method.train_subject(material, own)

    def _shared(self) -> AbstractContextManager[None]:
        """With all runs that would train the very same on a corpus."""
        if self.trainings is None or self.method.scope != "corpus":
            return nullcontext()
        return self.trainings.of_corpus().shared(self.workspace.folder, self.workspace.progress)

    def _draw(self, cases: Sequence[Case], store: ImageStore, finished: frozenset[str]) -> None:
        asked = Questions(self._gallery)
        for start in range(0, len(cases), self.batch):
            group = cases[start : start + self.batch]
            if not _all_in(group, store, finished):
                images = self._generate([asked(case) for case in group])
                drawn = zip((case.file for case in group), images, strict=True)
                store.put_all({file: image for file, image in drawn if file not in finished})
            self.workspace.progress(GENERATE, start + len(group), len(cases))

    def _generate(self, questions: Sequence[Question]) -> list[Image]:
        """All at once, or halves of them where the accelerator's memory does not suffice."""
        try:
            return self.method.generate(questions)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            if len(questions) == 1:
                raise UserError(
                    f"The memory does not suffice for one image of '{self.plan.method}' on "
                    f"'{self.plan.backbone}'; choose a smaller backbone, or free memory."
                ) from error
        self._make_room(len(questions))
        half = (len(questions) + 1) // 2
        return [*self._generate(questions[:half]), *self._generate(questions[half:])]

    def _make_room(self, count: int) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.workspace.log({"event": "out of memory", "images": count, "halved": (count + 1) // 2})

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {subject: number for number, subject in enumerate(self.plan.subjects, start=1)}

    @cached_property
    def _gallery(self) -> Gallery:
        return Gallery(self.plan.suite)


def has_all(store: ImageStore, cases: Sequence[Case]) -> bool:
    return store.has_all(case.file for case in cases)


def _all_in(cases: Sequence[Case], store: ImageStore, finished: frozenset[str]) -> bool:
    return all(case.file in finished or case.file in store.digests for case in cases)


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def _material(plan: Plan, gallery: Gallery, case: Case) -> Material:
    [subject] = [found for found in plan.suite.subjects if found.directory == case.subject]
    photographs = {file: picture.open() for file, picture in gallery(case.subject).items()}
    return Material(subject, case.name, photographs, given=case.reference)


def _own(workspace: Workspace, directory: str, label: str) -> Workspace:
    """A folder of the subject's own; what is logged and shown names the subject."""

    def log(event: Mapping[str, Any]) -> None:
        workspace.log({"subject": directory, **event})

    def progress(title: str, done: int, total: int) -> None:
        workspace.progress(f"{title} {label}", done, total)

    folder = workspace.folder / directory
    return replace(workspace, folder=folder, log=log, progress=progress)
