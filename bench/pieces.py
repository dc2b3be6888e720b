"""Pieces of work: what one worker does at once, small enough to be lost and done again.

Every piece is idempotent, and what it makes follows from the specification alone: by whom, in which
order and how often it is done changes no byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Literal

from bench.api import Case, Scope
from bench.errors import UserError
from bench.observe import Known
from bench.plan import Plan, Specification

Kind = Literal["specify", "train", "draw", "look"]
AT_ONCE = 32
"""Images in a piece of drawing, as far as these are whole groups."""
WORDS: dict[Kind, str] = {
    "specify": "Looking for what {} needs",
    "train": "The training of {}",
    "draw": "Drawing for {}",
    "look": "Looking at images of {}",
}


@dataclass(frozen=True)
class Job:
    """A run that is to be done, as every worker has it from the start.

    ``vanilla`` holds images of the same cases without the subject; the run goes to ``out``, a
    folder or an address of one, or else to a folder under ``root`` that its identity names;
    ``label``: what it is called among others.
    """

    plan: Plan
    vanilla: Path | None = None
    out: Path | str | None = None
    root: str = "runs"
    label: str = ""


@dataclass(frozen=True)
class Piece:
    """What to do of which job, in which folder, for the cases from ``start`` to ``stop``.

    ``identity`` is that of the run's specification and ``stamp`` tells the versions of the code: a
    worker that comes to others refuses. ``name`` is unlike that of any other piece of its kind in
    the job; ``finished``: digests of those images of its cases that are there.
    """

    kind: Kind
    job: int
    stamp: Mapping[str, str]
    identity: str = ""
    place: str = ""
    name: str = ""
    start: int = 0
    stop: int = 0
    finished: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Unlike that of any other piece."""
        return f"{self.job}-{self.kind}-{self.name}"

    def told(self, jobs: Sequence[Job]) -> str:
        """What is done, in words."""
        words = WORDS[self.kind].format(f"'{jobs[self.job].plan.method}'")
        return f"{words} ({self.name})" if self.name else words


@dataclass(frozen=True)
class Stated:
    """What only somebody knows who has the backbone at hand."""

    specification: Specification
    device: str
    dtype: str
    mini: bool
    batch: int
    scope: Scope


@dataclass(frozen=True)
class Seen:
    """What was seen of images: features and distances by recipe and key; and what is damaged."""

    vectors: Known = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


Outcome = Stated | Seen | UserError | None
"""An error is one that the user can mend: the piece cannot be done as things are."""


@dataclass(frozen=True)
class Span:
    """Cases that one piece draws, or looks at."""

    name: str
    start: int
    stop: int


def drawing_spans(cases: Sequence[Case], scope: Scope, batch: int) -> list[Span]:
    """Every subject's cases where a method trains per subject, else a few whole groups each."""
    if scope == "subject":
        return subject_spans(cases)
    size = max(1, AT_ONCE // batch) * batch
    starts = range(0, len(cases), size)
    return [Span(f"{start:08d}", start, min(start + size, len(cases))) for start in starts]


def subject_spans(cases: Sequence[Case]) -> list[Span]:
    """Every subject's cases, which stand together in a plan."""
    return list(_subjects(cases))


def _subjects(cases: Sequence[Case]) -> Iterator[Span]:
    start = 0
    for subject, group in groupby(cases, key=lambda case: case.subject):
        stop = start + sum(1 for _ in group)
        yield Span(subject, start, stop)
        start = stop
