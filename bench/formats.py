"""Weight files held to their format before they are let in; none of their code ever runs."""

import shutil
import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

from bench.sources import Format

SUFFIXES: dict[str, Format] = {".safetensors": "safetensors"}
SUFFIXES |= dict.fromkeys((".pth", ".pt", ".bin", ".tar"), "pth")
"""What a file's name says that it is; authors call a checkpoint of PyTorch by many names."""
SWOLLEN = 4
"""How many times its announced size an archive may unpack to."""


class Unfit(Exception):
    """What is wrong with a file, in a few words."""


def check(path: Path) -> None:
    """Unfit unless a file of tensors can be read whole; files of another kind pass."""
    kind = SUFFIXES.get(path.suffix)
    if kind == "safetensors":
        _check_safetensors(path)
    elif kind == "pth":
        _check_pth(path)


def check_all(path: Path) -> None:
    """``check`` of a file, or of every file below a folder, before a library reads it."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if SUFFIXES.get(file.suffix) == "pth" and file.is_file():
            check(file)


def unpack(archive: Path, folder: Path, wanted: Sequence[str], size: int) -> None:
    """Take the members that match ``wanted`` out of a zip archive of about ``size`` bytes.

    Unfit when it is none, or came broken, or would swell.
    """
    try:
        with ZipFile(archive) as stored:
            members = [member for member in stored.infolist() if _is_wanted(member, wanted)]
            if sum(member.file_size for member in members) > SWOLLEN * size:
                raise Unfit("it would unpack to far more than it should")
            for member in members:
                target = folder / PurePosixPath(member.filename)
                target.parent.mkdir(parents=True, exist_ok=True)
                with stored.open(member) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except (BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Unfit(f"it is no whole zip archive ({error})") from error


def _is_wanted(member: ZipInfo, wanted: Sequence[str]) -> bool:
    """A plain path inside the folder, and one that was asked for."""
    path = PurePosixPath(member.filename)
    inside = not path.is_absolute() and ".." not in path.parts and "\\" not in member.filename
    return inside and not member.is_dir() and matches(path.as_posix(), wanted)


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path in a folder is among those meant."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _check_safetensors(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            empty = not file.keys()
    except SafetensorError as error:
        raise Unfit(f"it is no whole safetensors file ({error})") from error
    if empty:
        raise Unfit("it holds no tensors")


def _check_pth(path: Path) -> None:
    import torch

    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except OSError:
        raise
    except Exception as error:  # The reader raises whatever a broken file makes it stumble over.
        raise Unfit("it is no PyTorch file of tensors and plain values alone") from error
