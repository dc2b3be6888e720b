"""Files that survive kill -9 and a full disk: atomic writes and a ledger of image digests."""

import fcntl
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, NoReturn

from bench.api import Progress, silent
from bench.documents import MALFORMED, inside
from bench.errors import UserError
from bench.identity import file_digest

if TYPE_CHECKING:
    from PIL.Image import Image

LEDGER = "images.jsonl"
SHARDS = Path("ledger")
"""Folder of the parts of a ledger that each piece of work writes by itself."""
LONGEST = 200
"""Characters in the name of an image."""
PART = ".part"
"""How names of half-written files end."""
WAITING = "wait for another"
"""What progress calls the seconds that a process waits for another one's work."""
TICK = 0.1
"""Seconds between two looks at whether it is done."""


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; readers see the old one or the new one."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{token_hex(4)}{PART}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """No two processes work in one folder. UserError when one does."""
    with _lock(folder) as lock:
        if not _took(lock):
            raise UserError(
                f"Another process works in {folder}; wait for it, or choose another folder."
            )
        yield


@contextmanager
def in_turn(folder: Path, progress: Progress = silent) -> Iterator[None]:
    """Processes work in one folder one after another; who waits says so, as it might for days."""
    with _lock(folder) as lock:
        began = time.monotonic()
        while not _took(lock):
            progress(WAITING, int(time.monotonic() - began), 0)
            time.sleep(TICK)
        if waited := int(time.monotonic() - began):
            progress(WAITING, waited, waited)
        yield


def _lock(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / ".lock").open("w")


def _took(lock: IO[str]) -> bool:
    """The lock goes when its file is closed, or with the process."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class ImageStore:
    """PNG files in a folder, each with its SHA-256 in a ledger that is only ever appended to.

    An image counts as finished once its line stands in the ledger: a kill between the two loses
    that image alone, and it is drawn again. Several may draw at once where each has a ``shard`` of
    the ledger to itself: it knows of its own images alone, and ``gather`` makes them one.
    """

    def __init__(self, folder: Path, shard: str | None = None) -> None:
        self.folder = folder
        self.ledger = folder / (SHARDS / f"{shard}.jsonl" if shard else Path(LEDGER))
        self._written: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        for ledger in [self.ledger] if shard else [self.ledger, *self._shards()]:
            self._read(ledger)

    def has_all(self, files: Iterable[str]) -> bool:
        return all(file in self.digests for file in files)

    def put_all(self, images: Mapping[str, "Image"]) -> None:
        """Store those that are not there yet; finished images are never written again."""
        for file, image in images.items():
            if file in self.digests:
                continue
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            write_atomically(self.folder / file, buffer.getvalue())
            self._append(file, file_digest(self.folder / file))

    def path(self, file: str) -> Path:
        return self.folder / file

    def open(self, file: str) -> "Image":
        from PIL import Image

        with Image.open(self.path(file)) as image:
            return image.convert("RGB")

    def verify(self, everywhere: bool = True) -> None:
        """Look for images that are missing, or altered since they were listed.

        A file that is no younger than the ledger which lists it is taken for what it was.
        ``everywhere`` is False where images may lie elsewhere alone. UserError as ``set_aside``
        says it.
        """
        missing, altered = list[str](), list[str]()
        for folder, files in sorted(_by_folder(self.digests).items()):
            ages = dict(self._ages(folder))
            missing += [file for file in files if everywhere and file not in ages]
            younger = [file for file in files if self._is_younger(file, ages.get(file))]
            altered += [file for file in younger if not self.intact(file)]
        if missing or altered:
            self.set_aside([*missing, *altered])

    def intact(self, file: str) -> bool:
        """Whether a finished image is here with the bytes that it was listed with."""
        path = self.path(file)
        return path.is_file() and file_digest(path) == self.digests[file]

    def set_aside(self, damaged: Sequence[str]) -> NoReturn:
        """Have these images drawn anew by whoever goes on: UserError names them.

        They leave the ledger, altered files are kept under ``damaged/``, and everything else stays
        as it is.
        """
        for file in damaged:
            if self.path(file).exists():
                aside = self.folder / "damaged" / file
                aside.parent.mkdir(parents=True, exist_ok=True)
                self.path(file).replace(aside)
            del self.digests[file]
        self.gather(self.digests)
        named = ", ".join(damaged[:3]) + (", ..." if len(damaged) > 3 else "")
        raise UserError(
            f"{len(damaged)} of the images in {self.folder} are damaged or missing ({named}): they "
            f"were set aside in {self.folder / 'damaged'}; run the same command again to draw "
            "them anew."
        )

    def gather(self, order: Iterable[str]) -> None:
        """Make one ledger of all, in this order."""
        lines = (_line((file, self.digests[file])) for file in order)
        shards = list(self._shards())
        write_atomically(self.ledger, "".join(lines))
        for shard in shards:
            shard.unlink()
        with suppress(OSError):
            (self.folder / SHARDS).rmdir()

    def _is_younger(self, file: str, age: int | None) -> bool:
        """Than the ledger in which it was found."""
        written = self._written.get(file)
        return age is not None and written is not None and age >= written

    def _ages(self, folder: str) -> Iterator[tuple[str, int]]:
        """When each image was last written, in nanoseconds; what a kill left half-written goes."""
        if not (self.folder / folder).is_dir():
            return
        with os.scandir(self.folder / folder) as entries:
            for entry in entries:
                if entry.name.endswith(PART):
                    Path(entry).unlink(missing_ok=True)
                    continue
                place = f"{folder}/{entry.name}" if folder else entry.name
                yield place, entry.stat().st_mtime_ns

    def _append(self, file: str, digest: str) -> None:
        self.ledger.parent.mkdir(parents=True, exist_ok=True)
        with self.ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(_line((file, digest)))
            ledger.flush()
            os.fsync(ledger.fileno())
        self.digests[file] = digest

    def _shards(self) -> Iterator[Path]:
        return iter(sorted((self.folder / SHARDS).glob("*.jsonl")))

    def _read(self, ledger: Path) -> None:
        """A torn last line, left by a kill, is cut off; its image is drawn again."""
        if not ledger.exists():
            return
        written, content = ledger.stat().st_mtime_ns, ledger.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            write_atomically(ledger, whole)
        for file, digest in filter(None, map(_entry, io.BytesIO(whole))):
            self.digests[file] = digest
            self._written[file] = written


def _by_folder(files: Iterable[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(file.rpartition("/")[0], []).append(file)
    return folders


def _entry(line: bytes) -> tuple[str, str] | None:
    """An image and its digest; None for a damaged line, and for one that names no place inside."""
    try:
        told = json.loads(line)
        file, digest = inside(told["file"]), told["sha256"]
    except MALFORMED:
        return None
    return (file, digest) if len(file) <= LONGEST and isinstance(digest, str) else None


def _line(entry: tuple[str, str]) -> str:
    return json.dumps({"file": entry[0], "sha256": entry[1]}) + "\n"
