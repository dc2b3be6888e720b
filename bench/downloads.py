"""Suites that are read from their official download: add what the user has of one, or fetch it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import editing, official
from bench.api import Progress, silent
from bench.archives import as_folder
from bench.data import Report, copying, download_archive, verify
from bench.errors import UserError
from bench.identity import file_digest
from bench.paths import datasets_folder, home
from bench.suites import (
    Download,
    NotHere,
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


def fetch(key: str, progress: Progress = silent, url: str | None = None) -> Report:
    """Download a suite from its official place (or ``url``), unless it is there already.

    What came before a line went dead is kept, and the next try goes on from there. UserError, and
    nothing added, when it is no single file, cannot be reached, or is something else.
    """
    if (present := held(key)) and present.ok:
        return present
    place = url or _in_one_piece(key).url
    part = home() / "data" / f".{key.partition('@')[0]}.part"
    with copying(key, part.parent):
        part.parent.mkdir(parents=True, exist_ok=True)
        download_archive(key, place, part, progress)
    try:
        return add(key, part)
    except UserError as error:
        raise UserError(f"What came from {place} is of no use: {error}") from error
    finally:
        part.unlink()


def held(key: str) -> Report | None:
    """What is there of a suite that was added; None for one that was not."""
    with suppress(NotHere):
        return verify(load_suite(key))
    return None


def terms(key: str) -> str:
    """What fetching brings and under which licence, in one sentence. UserError as ``fetch``."""
    known = _in_one_piece(key)
    return (
        f"{key}: {known.subjects} subjects, {(known.bytes or 0) / 1e6:.0f} MB, {known.licence}, "
        f"from {known.url}."
    )


def _in_one_piece(key: str) -> Download:
    known = list_downloads()[key]
    if known.bytes is None:
        raise UserError(
            f"{key} is no single file of known size that could be fetched; get {known.url} "
            f"({known.licence}) and run 'bench data add {key.partition('@')[0]} PATH' with it."
        )
    return known


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
