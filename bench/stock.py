"""The user's stock of weights: add a copy, or fetch one; whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.api import Progress, silent
from bench.digests import contents
from bench.download import Unreachable, download
from bench.errors import UserError
from bench.formats import SUFFIXES, Unfit, check, matches, unpack
from bench.identity import file_digest
from bench.paths import home
from bench.sources import Hub, Shipped, Source, Web, source
from bench.verification import files_of, record
from bench.weights import absence, find, here, lacking


def add(name: str, path: Path, progress: Progress = silent) -> Path:
    """Keep a copy of a file or folder, or of the archive that is published; a link where possible.

    UserError, and nothing added, for what cannot be read or is not what was published.
    """
    known, given = source(name), path.expanduser()
    if isinstance(known.place, Shipped):
        raise UserError(f"The weights of '{name}' ship with the package; there is nothing to add.")
    if not given.exists():
        raise UserError(f"There is nothing at {given}; name the file or folder of '{name}'.")
    with _refusing(known, str(given)), _staging() as staging:
        staged = staging / known.name
        if known.is_folder:
            _take_folder(known, given, staged)
        else:
            staged = staged.with_name(f"{known.name}.{_format(known, given)}")
            _place(given, staged)
        return _install(known, staged, progress)


def fetch(name: str, progress: Progress = silent, mirror: Web | None = None) -> Path:
    """Download weights from their place, or its mirror, unless they are here.

    A download that broke off is gone on with. UserError, and nothing added, when the place cannot
    be reached, lets only people in, or holds something else.
    """
    known = source(name)
    if (found := here(known)) is not None:
        return found
    match mirror or known.place:
        case Hub() as hub:
            return _fetched_from_hub(known, hub)
        case Web() as web:
            return _fetched_from_web(known, web, progress)
        case _:
            raise UserError(absence(known))


def _format(known: Source, path: Path) -> str:
    if not path.is_file():
        raise Unfit("it is a folder, and one file is needed")
    kind = SUFFIXES.get(path.suffix)
    if kind is None or kind not in known.formats:
        raise Unfit(f"a file of the kind {' or '.join(known.formats)} is needed")
    return kind


def _take_folder(known: Source, given: Path, staged: Path) -> None:
    """Only what the network is read from, so that every copy has one digest."""
    if given.is_dir():
        also = known.place.files if isinstance(known.place, Hub) else ()
        for file in contents(given):
            if matches(file, (*known.files, *also)):
                _place(given / file, staged / file)
    elif isinstance(known.place, Web):
        unpack(given, staged, known.files, known.size)
    else:
        raise Unfit("it is a file, and a folder is needed")


def _place(path: Path, target: Path) -> None:
    """A link costs nothing; where the file system has none, a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)


def _install(known: Source, staged: Path, progress: Progress) -> Path:
    """Put weights that hold what they promise in the place of what was there before."""
    if known.is_folder and (absent := lacking(staged, known)):
        raise Unfit(f"it lacks {', '.join(absent)}")
    digests = {}
    files = files_of(staged)
    for done, (file, place) in enumerate(files.items(), start=1):
        digests[file] = _held(known, file, place)
        progress(f"checking {known.name}", done, len(files))
    target = home() / "weights" / staged.name
    for earlier in _earlier(known):
        if earlier != target or earlier.is_dir():
            earlier.rename(staged.parent / f"replaced-{earlier.name}")
    staged.replace(target)
    record(known, digests)
    return target


def _held(known: Source, file: str, place: Path) -> str:
    """The digest of a file that can be read and is the published one where there is one."""
    check(place)
    found, published = file_digest(place), known.published(file)
    if published and not found.startswith(published):
        raise Unfit(
            f"its SHA-256 begins with {found[:8]}, that of the published file with {published[:8]}"
        )
    return found


def _earlier(known: Source) -> list[Path]:
    """What ``find`` might take in the place of what is added now."""
    names = (known.name, *(f"{known.name}.{kind}" for kind in known.formats))
    return [path for name in names if (path := home() / "weights" / name).exists()]


def _fetched_from_hub(known: Source, hub: Hub) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError

    try:
        snapshot_download(hub.repository, allow_patterns=list(hub.files))
    except GatedRepoError as error:
        raise UserError(
            f"The weights of '{known.name}' are for those who accept their licence "
            f"({known.licence}): accept it at {hub.page}, run 'hf auth login', then "
            f"'bench weights fetch {known.name}' again."
        ) from error
    except Exception as error:  # The client's errors change with the HTTP library beneath it.
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].removeprefix("Got: ")
        raise UserError(_unreachable(known, hub.page, reason)) from error
    return find(known.name)


def _fetched_from_web(known: Source, web: Web, progress: Progress) -> Path:
    addresses = {"": web.url, **dict(web.beside)}
    parts = {path: _downloaded(known, url, progress) for path, url in addresses.items()}
    with _refusing(known, web.url), _staging() as staging:
        # Moved first: a part that turns out unfit must not be gone on with.
        for number, (path, part) in enumerate(parts.items()):
            parts[path] = part.rename(staging / f"part-{number}")
        main = parts.pop("")
        if not known.is_folder:
            return _install(known, main.rename(staging / f"{known.name}.pth"), progress)
        staged = staging / known.name
        unpack(main, staged, known.files, known.size)
        for path, part in parts.items():
            _place(part, staged / path)
        return _install(known, staged, progress)


def _downloaded(known: Source, url: str, progress: Progress) -> Path:
    """The file at an address, kept where a later try finds it."""
    name = url.rpartition("/")[2]
    part = home() / "weights" / f".{name}.part"
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        download(url, part, lambda done, total: progress(f"downloading {name}", done, total))
    except Unreachable as error:
        raise UserError(_unreachable(known, url, str(error))) from error
    return part


def _unreachable(known: Source, place: str, reason: str) -> str:
    return (
        f"The weights of '{known.name}' cannot be downloaded from {place} ({reason}): try again, "
        f"or where there is a network {known.by_hand}."
    )


@contextmanager
def _staging() -> Iterator[Path]:
    """An empty folder on the file system of the weights, gone afterwards with all that is in it."""
    parent = home() / "weights"
    parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=parent, prefix=".adding-") as folder:
        yield Path(folder)


@contextmanager
def _refusing(known: Source, origin: str) -> Iterator[None]:
    """What is wrong with a file, or a disk, is the user's to mend."""
    try:
        yield
    except Unfit as error:
        raise UserError(
            f"{origin} is not taken for the weights of '{known.name}': {error}; nothing was added."
        ) from error
    except OSError as error:
        raise UserError(
            f"The weights of '{known.name}' cannot be kept in {home() / 'weights'}: {error}; "
            "nothing was added."
        ) from error
