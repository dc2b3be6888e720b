"""A suite's image files on this machine: add a copy, verify it, or fetch it.

They are kept in ``home()/data/<suite>/``, whole or not at all.
"""

import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from bench.api import Frozen, Progress, silent
from bench.download import Unreachable, stream
from bench.errors import UserError
from bench.identity import file_digest
from bench.suites import Suite, image_folder

ARCHIVES = {
    "dreambench": "https://github.com/google/dreambooth/archive/"
    "4f887af7970a06fc0cd3adaa1d0b368547d6a1d0.zip",
}
"""The official place of each data set: a zip archive with the images below ``*/dataset/``."""


class Report(Frozen):
    """What a folder holds of a suite's images; ``missing`` and ``altered`` are paths in it.

    ``folder`` is None for a suite that draws its images.
    """

    suite: str
    folder: str | None
    expected: int
    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Every image is there, byte for byte."""
        return not (self.missing or self.altered)

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        if self.folder is None:
            return f"{self.suite} draws its images itself and needs no data."
        if self.ok:
            return f"All {self.expected} images of {self.suite} are in {self.folder}, unaltered."
        parts = (_some(self.missing, "missing"), _some(self.altered, "altered"))
        what = " and ".join(part for part in parts if part)
        return f"Of the {self.expected} images of {self.suite} in {self.folder}, {what}."


def verify(suite: Suite, progress: Progress = silent) -> Report:
    """Check every image file on this machine against its digest."""
    if suite.source == "mini":
        return Report(suite=suite.key, folder=None, expected=0)
    return _check(suite, image_folder(suite), progress)


def add(suite: Suite, folder: Path, progress: Progress = silent) -> Report:
    """Copy a data set that the user has: the folder of subjects, or one with ``dataset/`` in it.

    UserError, and nothing added, unless every image is there and unaltered.
    """
    if suite.source == "mini":
        return verify(suite)
    source = folder / "dataset" if (folder / "dataset").is_dir() else folder
    if not source.is_dir():
        raise UserError(f"There is no folder {folder}; name the one that holds the images.")
    with _readable(suite):
        _demand(suite, _check(suite, source, progress))
        if (present := verify(suite)).ok:
            return present
        with _staging(suite) as staged:
            for image in suite.images:
                shutil.copyfile(source / image.path, _place(staged, image.path))
            return _install(suite, staged)


def fetch(suite: Suite, progress: Progress = silent, url: str | None = None) -> Report:
    """Download a data set from its official place (or ``url``), unless it is there already.

    UserError, and nothing added, when the place cannot be reached or holds something else.
    """
    if (present := verify(suite)).ok:
        return present
    place = url or ARCHIVES[suite.name]
    with _readable(suite), _staging(suite) as staged:
        archive = staged.parent / "archive.zip"
        _download(suite, place, archive, progress)
        _extract(suite, place, archive, staged)
        return _install(suite, staged)


def _check(suite: Suite, folder: Path, progress: Progress = silent) -> Report:
    missing, altered = [], []
    for done, image in enumerate(suite.images, start=1):
        path = folder / image.path
        if not path.is_file():
            missing.append(image.path)
        elif file_digest(path) != image.sha256:
            altered.append(image.path)
        progress(f"checking {suite.key}", done, len(suite.images))
    return Report(
        suite=suite.key,
        folder=str(folder),
        expected=len(suite.images),
        missing=tuple(missing),
        altered=tuple(altered),
    )


def _some(paths: tuple[str, ...], state: str) -> str:
    """How many, and the first few names."""
    if not paths:
        return ""
    names = ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
    return f"{len(paths)} {'is' if len(paths) == 1 else 'are'} {state} ({names})"


def _demand(suite: Suite, report: Report) -> None:
    if not report.ok:
        raise UserError(
            f"{report.sentence.rstrip('.')}; nothing was added: get a whole copy with "
            f"'bench data fetch {suite.name}' or from {ARCHIVES.get(suite.name, 'its authors')}."
        )


@contextmanager
def _readable(suite: Suite) -> Iterator[None]:
    """A disk that cannot be read or written is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The images of {suite.key} cannot be copied to {image_folder(suite)}: {error}; "
            "nothing was added."
        ) from error


@contextmanager
def _staging(suite: Suite) -> Iterator[Path]:
    """An empty folder on the file system of the images, gone afterwards with all beside it."""
    parent = image_folder(suite).parent
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent, prefix=f".{suite.name}-") as folder:
        staged = Path(folder) / "images"
        staged.mkdir()
        yield staged


def _place(folder: Path, path: str) -> Path:
    """Where an image of the suite goes, its directory made."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    return folder / path


def _install(suite: Suite, staged: Path) -> Report:
    """Put a verified folder in the place of what was there before."""
    _demand(suite, _check(suite, staged))
    target = image_folder(suite)
    if target.exists():
        target.rename(staged.parent / "replaced")
    staged.rename(target)
    return verify(suite)


def _download(suite: Suite, url: str, archive: Path, progress: Progress) -> None:
    total = sum(image.bytes for image in suite.images)
    try:
        with archive.open("wb") as file:
            for piece in stream(url):
                file.write(piece)
                progress(f"downloading {suite.key}", min(file.tell(), total), total)
    except Unreachable as error:
        what = f"cannot be downloaded from {url} ({error})"
        raise UserError(_refused(suite, url, what)) from error


def _refused(suite: Suite, url: str, what: str) -> str:
    return (
        f"The images of {suite.key} {what}; nothing was added: download {url} where there is a "
        f"network, unpack it, and run 'bench data add {suite.name} DIR'."
    )


def _extract(suite: Suite, url: str, archive: Path, folder: Path) -> None:
    """Take the suite's own paths out of the archive; its other members are never written."""
    try:
        with ZipFile(archive) as stored:
            members = {name.partition("/dataset/")[2]: name for name in stored.namelist()}
            for image in suite.images:
                if image.path in members:
                    with stored.open(members[image.path]) as member:
                        content = member.read(image.bytes + 1)
                    _place(folder, image.path).write_bytes(content)
    except (BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise UserError(_refused(suite, url, f"did not come whole from {url} ({error})")) from error
