"""Suites that are read from their official download: add what the user has of one, or fetch it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import data, editing, official
from bench.api import Progress, silent
from bench.archives import as_folder, is_archive, unpack
from bench.data import Report, copying, download_for, verify
from bench.errors import UserError
from bench.identity import file_digest
from bench.paths import datasets_folder, home
from bench.suites import (
    Download,
    NotHere,
    Piece,
    Suite,
    list_downloads,
    load_suite,
    parse_suite,
    prompts_for,
)


def add(key: str, path: Path) -> Report:
    """Read a suite from its official download, and hold all later ones to what it held.

    UserError, and nothing added, unless it has the subjects and prompts that are known of it.
    """
    known = list_downloads()[key]
    if not path.exists():
        raise UserError(f"There is no folder or archive {path}; download {known.url}.")
    if known.sha256 and path.is_file() and file_digest(path) != known.sha256:
        raise UserError(f"{path} is not the archive of {key}; download {known.url} again.")
    name, _, version = key.partition("@")
    target = home() / "data" / name
    with copying(key, target), _beside(target) as place:
        staged = place / "tables"
        staged.mkdir()
        specified = datasets_folder() / name / version
        if known.table:
            editing.write(path, specified, staged)
        else:
            with as_folder(path, official.is_wanted) as folder:
                official.write(official.read(name, folder), staged)
        suite = parse_suite(specified, staged)
        _demand_counts(suite, known)
        _demand_same(suite, target)
        (staged / "digest.txt").write_text(suite.identity + "\n")
        if target.exists():
            target.rename(place / "replaced")
        staged.rename(target)
    return verify(load_suite(key))


def fetch(key: str, progress: Progress = silent) -> Report:
    """Download a suite from its official place, and what it needs, unless it is there already.

    What came before a line went dead is kept, and the next try goes on from there. UserError, and
    nothing added, when a place cannot be reached or holds something else.
    """
    known = list_downloads()[key]
    if known.needs and not _is_here(key):
        _fetch_needed(known.needs, progress)
    if (present := held(key)) and present.ok:
        return present
    target = home() / "data" / key.partition("@")[0]
    parts = target.with_name(f".{target.name}.parts")
    with copying(key, target):
        _download(key, known, parts, progress)
        try:
            with _assembled(known, parts, target) as whole:
                report = add(key, whole)
        except UserError as error:
            shutil.rmtree(parts)
            raise UserError(f"What came from {known.url} is of no use: {error}") from error
        shutil.rmtree(parts)
    return report


def held(key: str) -> Report | None:
    """What is there of a suite that was added; None for one that was not."""
    with suppress(NotHere):
        return verify(load_suite(key))
    return None


def terms(key: str) -> str:
    """What fetching brings and under which licence: a sentence for each suite that comes."""
    known = list_downloads().get(key)
    if known is None:
        return data.terms(load_suite(key))
    said = f"{key}: {known.subjects} subjects, {_volume(known)}, {known.licence}, from {known.url}."
    needed = known.needs if known.needs and not _is_here(known.needs) else None
    return f"{terms(needed)} {said}" if needed else said


def _is_here(key: str) -> bool:
    report = held(key)
    return report is not None and report.ok


def _fetch_needed(key: str, progress: Progress) -> None:
    if key in list_downloads():
        fetch(key, progress)
    else:
        data.fetch(load_suite(key), progress)


def _volume(known: Download) -> str:
    megabytes = sum(piece.bytes for piece in known.pieces) / 1e6
    return f"{megabytes / 1e3:.3g} GB" if megabytes >= 1e3 else f"{max(megabytes, 1):.0f} MB"


def _download(key: str, known: Download, parts: Path, progress: Progress) -> None:
    """Every piece into ``parts``; progress counts the bytes of all together."""
    expected, before = sum(piece.bytes for piece in known.pieces), 0
    for piece in known.pieces:
        part = parts / piece.path
        part.parent.mkdir(parents=True, exist_ok=True)
        download_for(key, piece.url, part, _counted(progress, before, expected), known.url)
        before += part.stat().st_size


def _counted(progress: Progress, before: int, expected: int) -> Progress:
    return lambda title, done, total: progress(title, before + done, max(expected, before + total))


@contextmanager
def _assembled(known: Download, parts: Path, target: Path) -> Iterator[Path]:
    """What is added: the only file, or a folder of all, with archives unpacked where they stand."""
    if len(known.pieces) == 1:
        yield parts / known.pieces[0].path
        return
    with _beside(target) as folder:
        for piece in known.pieces:
            _put(piece, parts / piece.path, folder / piece.path)
        yield folder


def _put(piece: Piece, part: Path, place: Path) -> None:
    if piece.sha256 and file_digest(part) != piece.sha256:
        raise UserError(
            f"{piece.url} is not the file that was published; nothing was added: fetch it again."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    if is_archive(part):
        unpack(part, place.parent, official.is_wanted)
    else:
        part.rename(place)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty folder on the same file system, gone afterwards with all that is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        yield Path(folder)


def _demand_counts(suite: Suite, known: Download) -> None:
    prompts = sum(len(prompts_for(suite, subject)) for subject in suite.subjects)
    if (len(suite.subjects), prompts) != (known.subjects, known.prompts):
        raise UserError(
            f"{suite.key} has {known.subjects} subjects with {known.prompts} prompts, but what was "
            f"named has {len(suite.subjects)} with {prompts}; nothing was added: get the whole of "
            f"{known.url}."
        )


def _demand_same(suite: Suite, target: Path) -> None:
    recorded = target / "digest.txt"
    if recorded.is_file() and recorded.read_text().strip() != suite.identity:
        raise UserError(
            f"This is not the {suite.key} that was added before; nothing was added: remove "
            f"{target} if you mean to start anew with this one."
        )
