"""What lies between a plan and its images: training as a method's scope says, then drawing.

Images are drawn in fixed groups, each whole, so that resuming changes no image. Where a method
trains per subject, no group spans two of them and no subject's weights outlive it: a subject's
images do not depend on which others are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

from bench.api import Case, Material, Method, Progress, SubjectMethod, Workspace
from bench.gallery import Gallery
from bench.plan import Plan
from bench.questions import Questions
from bench.store import ImageStore
from bench.trainings import Trainings

Stage = Callable[[str], AbstractContextManager[None]]
"""Measures how long the stage of this name takes; stages of one name add up."""


@dataclass(frozen=True)
class Easel:
    """What drawing goes on: the method, how many images it draws at once, and where they go."""

    method: Method
    batch: int
    store: ImageStore
    gallery: Gallery


def train_and_draw(
    plan: Plan,
    method: Method,
    batch: int,
    store: ImageStore,
    workspace: Workspace,
    stage: Stage,
    trainings: Trainings | None = None,
) -> None:
    """Make whatever images of a plan are missing, and train only where some are.

    A subject's training is taken from ``trainings`` where it is kept, and kept there otherwise.
    """
    if has_all(store, plan.cases):
        return
    easel = Easel(method, batch, store, Gallery(plan.suite))
    with stage("train"):
        method.train(workspace)
    if method.scope == "subject":
        _each_subject(plan, easel, workspace, stage, trainings)
        return
    with stage("generate"):
        _draw(easel, plan.cases, _from(0, len(plan.cases), workspace.progress))


def has_all(store: ImageStore, cases: Sequence[Case]) -> bool:
    return store.has_all([case.file for case in cases])


def _each_subject(
    plan: Plan, easel: Easel, workspace: Workspace, stage: Stage, trainings: Trainings | None
) -> None:
    """A finished subject is neither trained nor drawn again."""
    method, done = cast(SubjectMethod, easel.method), 0
    for place, directory in enumerate(plan.subjects, start=1):
        cases = [case for case in plan.cases if case.subject == directory]
        if not has_all(easel.store, cases):
            own = _own(workspace, directory, f"{directory} {place}/{len(plan.subjects)}")
            with stage("train"):
                if trainings:
                    trainings.borrow(cases[0], own.folder)
                method.train_subject(_material(plan, easel.gallery, cases[0]), own)
                if trainings:
                    trainings.keep(cases[0], own.folder)
            with stage("generate"):
                _draw(easel, cases, _from(done, len(plan.cases), workspace.progress))
        done += len(cases)


def _draw(easel: Easel, cases: Sequence[Case], progress: Progress) -> None:
    asked = Questions(easel.gallery)
    for start in range(0, len(cases), easel.batch):
        group = cases[start : start + easel.batch]
        if not has_all(easel.store, group):
            images = easel.method.generate([asked(case) for case in group])
            files = [case.file for case in group]
            easel.store.put_all(dict(zip(files, images, strict=True)))
        progress("generate", start + len(group), len(cases))


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


def _from(done: int, total: int, progress: Progress) -> Progress:
    """Progress of a part, told as progress of the whole."""
    return lambda title, part, _: progress(title, done + part, total)
