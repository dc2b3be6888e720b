"""Files that survive kill -9 and a full disk: atomic writes and a ledger of image digests."""

import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.identity import file_digest

if TYPE_CHECKING:
    from PIL.Image import Image

LEDGER = "images.jsonl"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all; readers see the old one or the new one."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
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
def exclusive(folder: Path, wait: bool) -> Iterator[None]:
    """No two processes work in one folder. UserError when one does and ``wait`` is False."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process works in {folder}; wait for it, or choose another folder."
            ) from error
        yield


class ImageStore:
    """PNG files in a folder, each with its SHA-256 in a ledger that is only ever appended to.

    An image counts as finished once its line stands in the ledger: a kill between the two loses
    that image alone, and it is drawn again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.digests = self._read_ledger()

    def has_all(self, files: Sequence[str]) -> bool:
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

    def verify(self) -> None:
        """Compare every finished image with its digest.

        UserError names what is missing or altered; those leave the ledger, altered files are kept
        under ``damaged/``, and everything else stays as it is, so that going on mends the store.
        """
        altered = [file for file in self.digests if not self._intact(file)]
        if not altered:
            return
        for file in altered:
            if self.path(file).exists():
                aside = self.folder / "damaged" / file
                aside.parent.mkdir(parents=True, exist_ok=True)
                self.path(file).replace(aside)
            del self.digests[file]
        write_atomically(self._ledger, "".join(map(_line, self.digests.items())))
        named = ", ".join(altered[:3]) + (", ..." if len(altered) > 3 else "")
        raise UserError(
            f"{len(altered)} of the images in {self.folder} are damaged or missing ({named}): they "
            f"were set aside in {self.folder / 'damaged'}; run the same command again to draw "
            "them anew."
        )

    def _intact(self, file: str) -> bool:
        path = self.path(file)
        return path.is_file() and file_digest(path) == self.digests[file]

    @property
    def _ledger(self) -> Path:
        return self.folder / LEDGER

    def _append(self, file: str, digest: str) -> None:
        line = _line((file, digest))
        with self._ledger.open("a", encoding="utf-8") as ledger:
            ledger.write(line)
            ledger.flush()
            os.fsync(ledger.fileno())
        self.digests[file] = digest

    def _read_ledger(self) -> dict[str, str]:
        """A torn last line, left by a kill, is cut off; its image is drawn again."""
        if not self._ledger.exists():
            return {}
        text = self._ledger.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            write_atomically(self._ledger, whole)
        entries = (json.loads(line) for line in whole.splitlines())
        return {entry["file"]: entry["sha256"] for entry in entries}


def _line(entry: tuple[str, str]) -> str:
    return json.dumps({"file": entry[0], "sha256": entry[1]}) + "\n"
