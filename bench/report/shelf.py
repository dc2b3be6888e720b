"""Images beside a report: each once by its digest, as it is and as a thumbnail."""

import io
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench.api import Progress, silent
from bench.errors import UserError
from bench.gallery import Picture
from bench.identity import file_digest
from bench.pictures import read
from bench.store import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL = 256
"""Pixels of a thumbnail's longer side."""
LARGEST = 1024
"""Pixels of the longer side of photographs, which are shown and not scored from here."""

Address = tuple[str, str]
"""Where a page finds the thumbnail and the image."""


@dataclass(frozen=True)
class _Kept:
    name: str
    keep: Callable[[], None]
    address: Address


class Shelf:
    """Images that a page refers to by number; equal digests are one image.

    A thumbnail that is there already is not made again: its name is the image's digest.
    """

    def __init__(self, folder: Path, link: bool = False) -> None:
        self.folder, self.link = folder, link
        self._kept: dict[str, _Kept] = {}
        self._places: dict[str, int] = {}

    @property
    def addresses(self) -> list[Address]:
        """By number."""
        return [kept.address for kept in self._kept.values()]

    def file(self, path: Path, digest: str) -> int:
        """The number of a file that has this SHA-256."""
        full = f"images/{digest}{path.suffix}"
        address = self._linked(path) if self.link else full

        def keep() -> None:
            self._keep_file(path, digest, None if self.link else self.folder / full)

        return self._place(digest, keep, address)

    def picture(self, picture: Picture) -> int:
        """The number of an image that may lie nowhere as a file."""
        name = picture.digest.replace(":", "-")
        full = f"images/{name}.webp"

        def keep() -> None:
            if not self._has(name, self.folder / full):
                image = picture.open()
                write_atomically(self.folder / full, _webp(image, LARGEST))
                write_atomically(self._thumbnail(name), _webp(image, THUMBNAIL))

        return self._place(name, keep, full)

    def fill(self, progress: Progress = silent) -> None:
        """Write all that is missing, several at once.

        UserError for files that are gone, cannot be read or are not those that were scored.
        """
        with ThreadPoolExecutor() as pool:
            waiting = [pool.submit(kept.keep) for kept in self._kept.values()]
            try:
                for done, future in enumerate(as_completed(waiting), start=1):
                    future.result()
                    progress("images", done, len(waiting))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _place(self, name: str, keep: Callable[[], None], full: str) -> int:
        if name not in self._kept:
            self._places[name] = len(self._kept)
            self._kept[name] = _Kept(name, keep, (f"thumbs/{name}.webp", full))
        return self._places[name]

    def _thumbnail(self, name: str) -> Path:
        return self.folder / "thumbs" / f"{name}.webp"

    def _has(self, name: str, full: Path | None) -> bool:
        return self._thumbnail(name).is_file() and (full is None or full.is_file())

    def _keep_file(self, path: Path, digest: str, full: Path | None) -> None:
        if self._has(digest, full):
            return
        if not path.is_file() or file_digest(path) != digest:
            raise UserError(
                f"The image {path} is not the one that was scored: make it again by the same "
                "'bench run'."
            )
        if full and not full.is_file():
            _link_or_copy(path, full)
        write_atomically(self._thumbnail(digest), _webp(read(path), THUMBNAIL))

    def _linked(self, path: Path) -> str:
        """Relative, so that a report may be moved along with its runs."""
        return quote(os.path.relpath(path.absolute(), self.folder.absolute()))


def _webp(image: "Image", longest: int) -> bytes:
    """Small images exactly: of few pixels each one counts."""
    small = image.copy()
    small.thumbnail((longest, longest))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", lossless=small.size == image.size, quality=82)
    return buffer.getvalue()


def _link_or_copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)
