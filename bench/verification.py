"""Weights held to their digests: published ones, and those written down when they were added."""

import re
from collections.abc import Mapping
from pathlib import Path

from bench.api import Frozen, Progress, silent
from bench.digests import contents
from bench.identity import file_digest
from bench.paths import home
from bench.sources import Source, source
from bench.weights import own, present


class Report(Frozen):
    """What became of the files of a set of weights; ``altered`` and ``missing`` are their names."""

    name: str
    path: str
    held: int
    """Files that equal a digest that was published, or recorded when they were added."""
    unheld: int
    """Files of which no digest is known."""
    altered: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is known to be otherwise than it was."""
        return not (self.altered or self.missing)

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        if not self.ok:
            return (
                f"The weights of '{self.name}' in {self.path} are spoilt ({self._spoilt}): remove "
                f"them and run 'bench weights fetch {self.name}', or add a good copy."
            )
        if not self.held:
            return f"{self.name}: no digest is known to hold {self.path} to."
        rest = f"; of {self.unheld} more no digest is known" if self.unheld else ""
        files = "1 file" if self.held == 1 else f"{self.held} files"
        return f"{self.name}: {files} unaltered in {self.path}{rest}."

    @property
    def _spoilt(self) -> str:
        states = (("altered", self.altered), ("missing", self.missing))
        return "; ".join(f"{state}: {', '.join(which)}" for state, which in states if which)


def verify(name: str, progress: Progress = silent) -> Report:
    """Read every file and hold it to its digest: published, recorded, or the hub cache's own.

    UserError when the weights are not here.
    """
    known, path = source(name), present(name)
    recorded = _recorded(known) if path == own(known) else {}
    files = files_of(path)
    known_to_be: dict[str, bool] = {}
    for done, (file, place) in enumerate(files.items(), start=1):
        expected = known.published(file) or recorded.get(file) or _blob(place)
        if expected is not None:
            known_to_be[file] = file_digest(place).startswith(expected)
        progress(f"verifying {name}", done, len(files))
    return Report(
        name=name,
        path=str(path),
        held=sum(known_to_be.values()),
        unheld=len(files) - len(known_to_be),
        altered=tuple(file for file, same in known_to_be.items() if not same),
        missing=tuple(sorted(set(recorded) - set(files))),
    )


def files_of(path: Path) -> dict[str, Path]:
    """The files of a set of weights, by their names in it."""
    if path.is_dir():
        return {file: path / file for file in contents(path)}
    return {path.name: path}


def record(known: Source, digests: Mapping[str, str]) -> None:
    """Write down what was added, as ``sha256sum --check`` reads it."""
    lines = (f"{found}  {_inside(known)}{file}\n" for file, found in digests.items())
    _record_file(known).write_text("".join(lines), encoding="utf-8")


def _recorded(known: Source) -> dict[str, str]:
    path = _record_file(known)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {file.removeprefix(_inside(known)): found for found, file in pairs}


def _record_file(known: Source) -> Path:
    return home() / "weights" / f"{known.name}.sha256"


def _inside(known: Source) -> str:
    return f"{known.name}/" if known.is_folder else ""


def _blob(path: Path) -> str | None:
    """The hub cache names the blob of a large file by its SHA-256."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None
