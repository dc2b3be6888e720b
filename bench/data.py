"""A suite's image files on this machine: add a copy, verify it, or fetch it.

They are kept in ``home()/data/<suite>/``, whole or not at all.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.api import Frozen, Progress, silent
from bench.archives import as_folder, unpacked
from bench.download import Unreachable, download
from bench.editing import source_folder
from bench.errors import UserError
from bench.layouts import is_member_of, locate, refuse_parquet
from bench.pictures import Unreadable, describe
from bench.references import image_folder, is_file_of, owner
from bench.suites import Suite

ARCHIVES = {
    "dreambench": "https://github.com/google/dreambooth/archive/"
    "4f887af7970a06fc0cd3adaa1d0b368547d6a1d0.zip",
    "vico": "https://github.com/cvlab-kaist/DreamMatcher/archive/1c8fe19.zip",
}
"""The official place of each data set: an archive of the repository that holds the images."""


class Report(Frozen):
    """What a folder holds of a suite's images; ``missing`` and ``altered`` are paths in it.

    ``folder`` is None for a suite that draws its images.
    """

    suite: str
    folder: str | None
    expected: int
    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    advice: str = ""
    """What to do about it, where the commands for this suite would not help."""

    @property
    def ok(self) -> bool:
        """Every image is there, byte for byte."""
        return not (self.missing or self.altered)

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        if self.folder is None:
            return f"{self.suite} draws its images itself and needs no data."
        if not self.expected:
            return f"{self.suite} has no images, only prompts, and needs no data."
        if self.ok:
            return f"All {self.expected} images of {self.suite} are in {self.folder}, unaltered."
        parts = (_some(self.missing, "missing"), _some(self.altered, "altered"))
        what = " and ".join(part for part in parts if part)
        found = f"Of the {self.expected} images of {self.suite} in {self.folder}, {what}"
        return f"{found}; {self.advice}." if self.advice else f"{found}."


def verify(suite: Suite, progress: Progress = silent) -> Report:
    """Check every image file on this machine against its digest."""
    if suite.source == "mini":
        return Report(suite=suite.key, folder=None, expected=0)
    report = _check(suite, image_folder(suite), progress)
    if suite.images_of and not report.ok:
        report = report.model_copy(update={"advice": _borrowed(suite)})
    return _with_sources(suite, report) if suite.sources else report


def _borrowed(suite: Suite) -> str:
    return (
        f"its photographs are those of {suite.images_of}: bring them with 'bench data add "
        f"{owner(suite)} DIR' or 'bench data fetch {owner(suite)}'"
    )


def _with_sources(suite: Suite, report: Report) -> Report:
    """The images to be edited are looked at too; their paths begin with the suite's name."""
    folder = source_folder(suite)
    images = [image for images in (suite.sources or {}).values() for image in images]
    there = [image for image in images if (folder / image.path).is_file()]
    altered = [image for image in there if not is_file_of(image.sha256, folder / image.path)]
    missing = [image for image in images if image not in there]
    return Report(
        suite=report.suite,
        folder=f"{report.folder} and {folder}",
        expected=report.expected + len(images),
        missing=(*report.missing, *(f"{suite.name}/{image.path}" for image in missing)),
        altered=(*report.altered, *(f"{suite.name}/{image.path}" for image in altered)),
        advice=report.advice,
    )


def add(suite: Suite, path: Path, progress: Progress = silent) -> Report:
    """Copy a data set that the user has: a checkout, the folder of subjects, or an archive of one.

    UserError, and nothing added, unless every image is there and unaltered.
    """
    if suite.source == "mini":
        return verify(suite)
    if not path.exists():
        raise UserError(f"There is no folder or archive {path}; name the one with the images.")
    refuse_parquet(suite, path)
    with (
        copying(suite.key, image_folder(suite)),
        as_folder(path, partial(is_member_of, suite)) as folder,
    ):
        files = locate(suite, folder)
        report = _check(suite, path, progress, files)
        _demand(suite, report, files)
        if (present := verify(suite)).ok:
            return present
        with _staging(suite) as staged:
            for image in suite.images:
                shutil.copyfile(files[image.path], _place(staged, image.path))
            return _install(suite, staged)


def fetch(suite: Suite, progress: Progress = silent, url: str | None = None) -> Report:
    """Download a data set from its official place (or ``url``), unless it is there already.

    What came before a line went dead is kept, and the next try goes on from there. UserError, and
    nothing added, when the place cannot be reached or holds something else.
    """
    if (present := verify(suite)).ok:
        return present
    place = url or ARCHIVES.get(owner(suite))
    if place is None:
        raise UserError(
            f"{suite.key} is a suite of your own, which nobody else has: put its images back into "
            f"{image_folder(suite)}, or make it anew under another name."
        )
    with copying(suite.key, image_folder(suite)):
        part = image_folder(suite).with_name(f".{owner(suite)}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        download_for(suite.key, place, part, progress, by_hand=place)
        try:
            with unpacked(part, partial(is_member_of, suite), part.parent) as folder:
                return add(suite, folder, progress)
        except UserError as error:
            raise UserError(f"What came from {place} is of no use: {error}") from error
        finally:
            part.unlink()


def terms(suite: Suite) -> str:
    """What fetching brings and under which licence, in one sentence."""
    megabytes = sum(image.bytes for image in suite.images) / 1e6
    return (
        f"{suite.key}: {len(suite.images)} images, {megabytes:.0f} MB, {suite.licence}, "
        f"from {ARCHIVES.get(owner(suite), 'nowhere')}."
    )


def _check(
    suite: Suite,
    folder: Path,
    progress: Progress = silent,
    files: Mapping[str, Path] | None = None,
) -> Report:
    """Hold ``files``, or those in the folder, to the suite's digests."""
    missing, altered = [], []
    for done, image in enumerate(suite.images, start=1):
        path = files[image.path] if files else folder / image.path
        if not path.is_file():
            missing.append(image.path)
        elif not is_file_of(image.sha256, path):
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


def _demand(suite: Suite, report: Report, files: Mapping[str, Path]) -> None:
    if report.ok:
        return
    no_image = _first_unreadable(files[path] for path in report.altered)
    raise UserError(
        f"{report.sentence.rstrip('.')}{no_image}; nothing was added: get a whole copy with "
        f"'bench data fetch {owner(suite)}' or from {ARCHIVES.get(owner(suite), 'its authors')}."
    )


def _first_unreadable(paths: Iterator[Path]) -> str:
    """What altered photographs often are: a web page, or git's pointer to a large file."""
    for path in paths:
        try:
            describe(path)
        except Unreadable as error:
            return f" ({path.parent.name}/{path.name} is no image: {error.reason})"
    return ""


@contextmanager
def copying(key: str, place: Path) -> Iterator[None]:
    """A disk that cannot be read or written is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The images of {key} cannot be copied to {place}: {error}; nothing was added."
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
    staged_files = {image.path: staged / image.path for image in suite.images}
    _demand(suite, _check(suite, staged), staged_files)
    target = image_folder(suite)
    if target.exists():
        target.rename(staged.parent / "replaced")
    staged.rename(target)
    return verify(suite)


def download_for(key: str, url: str, path: Path, progress: Progress, by_hand: str) -> None:
    """Fill ``path``, after what an earlier try left in it; UserError where no more comes.

    ``by_hand`` is what a user would have to get instead.
    """
    try:
        download(url, path, partial(progress, f"downloading {key}"))
    except Unreachable as error:
        raise UserError(
            f"The images of {key} cannot be downloaded from {url} ({error}); nothing was added: "
            f"download {by_hand} where there is a network, and run 'bench data add "
            f"{key.partition('@')[0]} PATH' with it, or fetch again to go on."
        ) from error
