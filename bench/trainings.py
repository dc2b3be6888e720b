"""Finished trainings of subjects, kept for other runs that would train the very same.

Runs that differ in how images are drawn alone, as a sweep of guidance does, share their trainings.
A kept training is linked into a run's own folder, which stays whole by itself.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from bench.api import Case
from bench.identity import file_digest, identity
from bench.plan import Specification
from bench.store import PART, exclusive, write_atomically

UNFINISHED = frozenset({"state.pt"})
"""Checkpoints to go on from, which nobody needs of a training that is finished."""
FILES, DIGESTS = "files", "digests.json"


@dataclass(frozen=True)
class Trainings:
    """A run's share of what is kept in ``folder``; ``drawing`` are options of drawing alone."""

    folder: Path
    specification: Specification
    drawing: frozenset[str] = frozenset()

    @contextmanager
    def shared(self, case: Case, folder: Path) -> Iterator[None]:
        """While a case's subject is trained in ``folder``, or once somebody else has trained it."""
        with exclusive(self.place(case).with_suffix(".work"), wait=True):
            self.borrow(case, folder)
            yield
            self.keep(case, folder)

    def borrow(self, case: Case, into: Path) -> None:
        """Link the finished training of a case's subject, if there is one, to a new folder.

        One that is damaged is thrown away.
        """
        kept = self.place(case)
        if into.exists() or not kept.is_dir():
            return
        if _is_sound(kept):
            _link_all(kept / FILES, into)
        else:
            shutil.rmtree(kept, ignore_errors=True)

    def keep(self, case: Case, made: Path) -> None:
        """Keep what was made of a case's subject, unless it is kept already."""
        kept = self.place(case)
        if not kept.exists() and made.is_dir():
            _link_all(made, kept / FILES)
            write_atomically(kept / DIGESTS, json.dumps(_digests(kept / FILES)))

    def place(self, case: Case) -> Path:
        """Where the training of a case's subject is kept, or would be."""
        stated = self.specification
        followed = {
            "method": stated.method,
            "revision": stated.method_revision,
            "options": {k: v for k, v in stated.options.items() if k not in self.drawing},
            "inputs": stated.inputs,
            "backbone": stated.backbone_digest,
            "suite": stated.suite_identity,
            "subject": [case.subject, case.name, case.reference],
        }
        return self.folder / identity(followed)


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
