"""Finished trainings, kept for other runs that would train the very same.

Runs that differ in how images are drawn alone, as a sweep of guidance does, share their trainings;
so do those of different suites where a method is trained on a corpus.
A kept training is linked into a run's own folder, which stays whole by itself.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from bench import registry
from bench.api import Case, Progress, silent
from bench.identity import Json, file_digest, identity
from bench.paths import cache
from bench.plan import Specification
from bench.stamp import code_of
from bench.store import PART, in_turn, write_atomically

UNFINISHED = frozenset({"state.pt"})
"""Checkpoints to go on from, which nobody needs of a training that is finished."""
FILES, DIGESTS = "files", "digests.json"


@dataclass(frozen=True)
class Training:
    """One finished training, which is kept in the folder ``place``, or will be."""

    place: Path

    @contextmanager
    def shared(self, folder: Path, progress: Progress = silent) -> Iterator[None]:
        """While it is trained in ``folder``, or once somebody else has trained it."""
        with in_turn(self.place.with_suffix(".work"), progress):
            self.borrow(folder)
            yield
            self.keep(folder)

    def borrow(self, into: Path) -> None:
        """Link its files, if there are any, to a new folder. One that is damaged is thrown away."""
        if into.exists() or not self.place.is_dir():
            return
        if _is_sound(self.place):
            _link_all(self.place / FILES, into)
        else:
            shutil.rmtree(self.place, ignore_errors=True)

    def keep(self, made: Path) -> None:
        """Keep what was made, unless it is kept already."""
        if not self.place.exists() and made.is_dir():
            _link_all(made, self.place / FILES)
            write_atomically(self.place / DIGESTS, json.dumps(_digests(self.place / FILES)))


@dataclass(frozen=True)
class Trainings:
    """A run's share of what is kept in ``folder``.

    ``drawing``: options of drawing alone; ``code``: what trains.
    """

    folder: Path
    specification: Specification
    drawing: frozenset[str] = frozenset()
    code: str = ""

    @classmethod
    def here(cls, specification: Specification) -> Self:
        """Those of this machine, by the code that is here."""
        factory = registry.load("method", specification.method)
        drawing: frozenset[str] = getattr(factory.Options, "drawing", frozenset())
        return cls(cache() / "trainings", specification, drawing, code_of(factory))

    def of_subject(self, case: Case) -> Training:
        """That of a case's subject."""
        subject = [case.subject, case.name, case.reference]
        return self._of({"suite": self.specification.suite_identity, "subject": subject})

    def of_corpus(self) -> Training:
        """That of a method which is trained once, whatever suite it is asked about."""
        return self._of({})

    def _of(self, asked: Mapping[str, Json]) -> Training:
        stated = self.specification
        followed = {
            "method": stated.method,
            "revision": stated.method_revision,
            "code": self.code,
            "options": {k: v for k, v in stated.options.items() if k not in self.drawing},
            "inputs": stated.inputs,
            "backbone": stated.backbone_digest,
            **asked,
        }
        return Training(self.folder / identity(followed))


def _digests(folder: Path) -> dict[str, str]:
    """Files of a finished training, by their place in its folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in paths
        if path.name not in UNFINISHED and not path.name.endswith(PART)
    }


def _is_sound(kept: Path) -> bool:
    """Whether its files are those that were kept; a list of them that is damaged says nothing."""
    try:
        stated = json.loads((kept / DIGESTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stated == _digests(kept / FILES))


def _link_all(source: Path, target: Path) -> None:
    """All finished files or none; where another process was faster, its own stay."""
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = Path(mkdtemp(prefix=".", suffix=PART, dir=target.parent))
    try:
        for file in _digests(source):
            _link(source / file, whole / file)
        whole.rename(target)
    except OSError:
        shutil.rmtree(whole)
        if not target.is_dir():
            raise


def _link(source: Path, target: Path) -> None:
    """One file in two places, or a copy where a file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
