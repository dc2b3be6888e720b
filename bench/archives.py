"""Archives from elsewhere: nothing of one is written before its members were looked at."""

import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple, Self
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

from bench.errors import UserError

MEMBERS = 100_000
BYTES = 4 << 30
SWELLING = 100
"""How many times its own size an archive may unpack to: photographs hardly shrink at all."""
SMALL = 1 << 20
"""Bytes that any archive may unpack to."""
HEADER = 1 << 16
"""Bytes of what a tar archive says of one member."""
CHUNK = 1 << 18
BROKEN = (
    BadZipFile,
    tarfile.TarError,
    EOFError,
    LZMAError,
    zlib.error,
    NotImplementedError,
    ValueError,
    RecursionError,
)
"""What archives raise that are none, or not whole."""
ENCRYPTED = 1

Wanted = Callable[[str], bool]


class Member(NamedTuple):
    """A file in an archive, or something that pretends to be one."""

    name: str
    size: int
    plain: bool
    """Neither a link nor a device."""
    locked: bool
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, or says so by its name."""
    named = path.name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))
    return path.is_file() and (named or is_zipfile(path) or _is_tar(path))


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, tarinfo=_Header):
            return True
    except (OSError, *BROKEN):
        return False


@contextmanager
def unpacked(archive: Path, wanted: Wanted, beside: Path | None = None) -> Iterator[Path]:
    """A folder with the members that are ``wanted`` by name, gone afterwards.

    It is made in the folder ``beside``. UserError for an archive that is damaged, encrypted, too
    large, or has members that lead out of it.
    """
    with TemporaryDirectory(dir=beside, prefix=".unpacked-") as folder:
        unpack(archive, Path(folder), wanted)
        yield Path(folder)


@contextmanager
def as_folder(path: Path, wanted: Wanted) -> Iterator[Path]:
    """The folder itself, or what is wanted of an archive for as long as it is looked at."""
    if path.is_dir():
        yield path
    elif is_archive(path):
        with unpacked(path, wanted) as folder:
            yield folder
    else:
        raise UserError(f"{path} is neither a folder nor an archive; name one with the images.")


def unpack(archive: Path, folder: Path, wanted: Wanted) -> None:
    """Write the members that are ``wanted`` by name into a folder. UserError as ``unpacked``."""
    room = min(BYTES, max(SMALL, SWELLING * archive.stat().st_size))
    declared = 0
    with _damage_named(archive), _opened(archive) as members:
        for count, member in enumerate(members, start=1):
            declared += member.size
            if count > MEMBERS or declared > room:
                raise _too_large(archive)
            _demand_inside(archive, member.name)
            if wanted(member.name):
                _write(archive, member, folder / member.name)


def _write(archive: Path, member: Member, target: Path) -> None:
    if not member.plain:
        raise UserError(
            f"'{member.name}' in {archive} is a link or a device, and no file; nothing was added: "
            "get the archive from its official place."
        )
    if member.locked:
        raise UserError(
            f"'{member.name}' in {archive} is encrypted; nothing was added: unpack the archive "
            "yourself and add the folder."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    assert source is not None, member.name
    with source, target.open("xb") as file:
        while piece := source.read(CHUNK):
            if file.tell() + len(piece) > member.size:
                raise _too_large(archive)
            file.write(piece)


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[Member]]:
    if is_zipfile(archive):
        with ZipFile(archive) as stored:
            yield (_of_zip(stored, info) for info in stored.infolist() if not info.is_dir())
    else:
        with tarfile.open(archive, tarinfo=_Header) as tape:
            yield (_of_tar(tape, info) for info in tape if not info.isdir())


class _Header(tarfile.TarInfo):
    """Long names and the like stand before a member, and are read into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if not header.isfile() and header.size > HEADER:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


def _of_zip(stored: ZipFile, info: ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return Member(
        name=info.filename,
        size=info.file_size,
        plain=kind in (0, stat.S_IFREG),
        locked=bool(info.flag_bits & ENCRYPTED),
        open=lambda: stored.open(info),
    )


def _of_tar(tape: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(info.name, info.size, info.isfile(), False, lambda: tape.extractfile(info))


def _demand_inside(archive: Path, name: str) -> None:
    path, elsewhere = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or elsewhere.drive or elsewhere.root or ".." in elsewhere.parts:
        raise UserError(
            f"'{name}' in {archive} leads out of the archive; nothing was added: get the archive "
            "from its official place."
        )


def _too_large(archive: Path) -> UserError:
    return UserError(
        f"{archive} unpacks to far more than photographs would; nothing was added: get the "
        "archive from its official place."
    )


@contextmanager
def _damage_named(archive: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, *BROKEN) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UserError(
            f"{archive} is no whole zip or tar archive ({reason}); nothing was added: download it "
            "again."
        ) from error
