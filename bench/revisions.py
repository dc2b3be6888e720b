"""Boards as they stood at revisions of git, and what became of their rows since."""

import io
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.errors import UserError
from bench.results import MEASURED, RESULT_FILE, Aggregate, RunResult

What = Literal["added", "gone", "revised", "rescored"]
ROWS = f":(glob)**/{MEASURED}/*/{RESULT_FILE}"


@dataclass(frozen=True)
class Change:
    """What became of a row: ``before`` or ``after`` is None for one that was added or is gone."""

    what: What
    before: RunResult | None
    after: RunResult | None

    @property
    def row(self) -> RunResult:
        """As it stands, or as it last stood."""
        row = self.after or self.before
        assert row is not None
        return row

    @property
    def revision(self) -> str:
        """The method's revision, or both where it changed."""
        told = (row.method_revision for row in (self.before, self.after) if row)
        return " to ".join(dict.fromkeys(f"r{number}" for number in told))


@dataclass(frozen=True)
class Stood:
    """A row as a commit left it."""

    commit: str
    date: str
    result: RunResult


def line(result: RunResult) -> tuple[str, ...]:
    """What stays of a row when its method is revised: its place in a reader's mind."""
    suite, _ = result.suite.split("@")
    protocol, _ = result.protocol.split("@")
    rule = str(result.options.get("rule") or "")
    return suite, protocol, result.origin, result.method, result.backbone, rule


def changes(before: Iterable[RunResult], after: Iterable[RunResult]) -> list[Change]:
    """What a board's rows became, by their lines.

    ``revised``: one row of a line took the place of one other; ``rescored``: the same
    specification has other numbers.
    """
    old, new = ({row.identity: row for row in rows} for rows in (before, after))
    found = [
        Change("rescored", old[key], new[key])
        for key in old.keys() & new.keys()
        if not _same_scores(old[key], new[key])
    ]
    gone = [row for key, row in old.items() if key not in new]
    added = [row for key, row in new.items() if key not in old]
    for row in gone:
        heirs = [other for other in added if line(other) == line(row)]
        alone = sum(line(other) == line(row) for other in gone) == 1
        if alone and len(heirs) == 1:
            found.append(Change("revised", row, heirs[0]))
            added.remove(heirs[0])
        else:
            found.append(Change("gone", row, None))
    found += [Change("added", None, row) for row in added]
    return sorted(found, key=lambda change: (line(change.row), change.row.identity))


def read_at(leaderboards: Path, revision: str) -> list[RunResult]:
    """Every measured row of the boards as a commit left them, those of unknown form left out.

    UserError outside a git checkout and for a revision that it does not have.
    """
    commit = _git(leaderboards, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        raise UserError(
            f"{leaderboards} has no git revision '{revision}': give a commit, branch or tag of the "
            "checkout that the leaderboards are in."
        )
    packed = _git(leaderboards, "archive", "--format=tar", commit.decode().strip(), "--", ROWS)
    return list(_rows(packed)) if packed else []


def previous(leaderboards: Path) -> str | None:
    """The revision that the boards are a change of: HEAD, or the one before if nothing changed.

    None outside a git checkout, and where HEAD is all that there is.
    """
    dirty = _git(leaderboards, "status", "--porcelain", "--", ".")
    revision = "HEAD" if dirty else "HEAD~1"
    known = _git(leaderboards, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return revision if dirty is not None and known is not None else None


def history(leaderboards: Path) -> dict[tuple[str, ...], list[Stood]]:
    """Line to its rows in the order in which commits brought them, each outcome once.

    Empty outside a git checkout.
    """
    listed = _git(leaderboards, "log", "--reverse", "--format=%h %cs", "--", ROWS) or b""
    found: dict[tuple[str, ...], list[Stood]] = {}
    for entry in listed.decode().splitlines():
        commit, date = entry.split()
        for row in read_at(leaderboards, commit):
            stood = found.setdefault(line(row), [])
            if not any(_same_outcome(row, earlier.result) for earlier in stood):
                stood.append(Stood(commit, date, row))
    return found


def sentence(change: Change) -> str:
    """A change in one line, with the scores that it changed."""
    row = change.row
    where = f"{row.suite} {row.protocol}: {row.method} on {row.backbone}, {change.revision}"
    partial = ", partial" if row.limited else ""
    scores = "; ".join(f"{name} {told}" for name, told in _scores(change).items())
    unexplained = ", SAME REVISION" if change.what == "rescored" else ""
    return f"{change.what}: {where}{partial}{unexplained} ({scores})"


def as_document(change: Change) -> dict[str, Any]:
    """What ``--json`` prints of a change."""
    row = change.row
    scores = {side: _means(told) for side in ("before", "after") if (told := getattr(change, side))}
    revisions = {side: told.method_revision for side in scores if (told := getattr(change, side))}
    keep = {"suite", "protocol", "method", "backbone", "origin", "limited", "identity"}
    told = row.model_dump(mode="json", include=keep)
    return {"what": change.what, **told, "method_revision": revisions, "scores": scores}


def _scores(change: Change) -> dict[str, str]:
    """Every metric of either side, with an arrow where it has moved."""
    before, after = (_means(row) if row else {} for row in (change.before, change.after))
    names = dict.fromkeys([*before, *after])
    sides = {name: [side[name] for side in (before, after) if name in side] for name in names}
    return {
        name: " -> ".join(dict.fromkeys(f"{value:.4f}" for value in values))
        for name, values in sides.items()
    }


def _means(row: RunResult) -> dict[str, float]:
    return {name: told.mean for name, told in row.metrics.items()}


def _same_outcome(one: RunResult, other: RunResult) -> bool:
    return one.identity == other.identity and _same_scores(one, other)


def _same_scores(one: RunResult, other: RunResult) -> bool:
    if one.metrics.keys() != other.metrics.keys():
        return False
    return all(_same(told, other.metrics[name]) for name, told in one.metrics.items())


def _same(one: Aggregate, other: Aggregate) -> bool:
    return one.definition == other.definition and isclose(one.mean, other.mean, rel_tol=1e-9)


def _rows(packed: bytes) -> Iterator[RunResult]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive.getmembers():
            if file := archive.extractfile(member) if member.isfile() else None:
                try:
                    yield RunResult.model_validate_json(file.read())
                except ValidationError:
                    continue  # written by a version that knew other fields


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says, run in the folder; None where it fails or is not installed."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
