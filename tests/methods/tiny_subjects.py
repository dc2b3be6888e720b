"""Subjects of two photographs, and what a method of scope ``subject`` makes of them."""

from dataclasses import replace
from typing import Any

from bench.api import Case, Material, Question, Subject, Workspace
from tests.networks import picture


def material(directory: str, noun: str = "mug") -> Material:
    subject = Subject(
        directory=directory,
        class_noun=noun,
        descriptive_name=f"red {noun}",
        live=False,
        references=("00.png", "01.png"),
    )
    photographs = {
        file: picture((40, 32), seed=len(directory) + k)
        for k, file in enumerate(subject.references)
    }
    return Material(subject, noun, photographs, given="00.png")


MUG, OTHER_MUG, CAR = material("mug-1"), material("mug-002"), material("car-02", "car")


def question(of: Material) -> Question:
    case = Case(
        suite="mini@1",
        subject=of.subject.directory,
        prompt_index=0,
        prompt=f"a {of.name} in snow",
        name=of.name,
        reference=of.given,
        seed=0,
    )
    return Question(case, of.photographs[of.given])


def trained(made: Any, of: Material, workspace: Workspace) -> bytes:
    """The subject's image after its training."""
    made.train_subject(of, replace(workspace, folder=workspace.folder / of.subject.directory))
    [image] = made.generate([question(of)])
    content: bytes = image.tobytes()
    return content
