"""Downloads over HTTP: bytes as they come, or a file that goes on where it stopped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT = 30.0
"""Seconds without a byte after which a line counts as dead."""
TRIES = 3
"""How often a download is begun that falls silent."""
CHUNK = 1 << 18
PARTIAL, BEYOND_THE_END = 206, 416


class Unreachable(Exception):
    """Why nothing more came, in a few words."""


class Silent(Unreachable):
    """Nothing came for a while, and something may yet."""


def stream(url: str) -> Iterator[bytes]:
    """Everything at an address, piece by piece. Unreachable when it cannot be read."""
    with _asked(url) as answer:
        yield from _pieces(answer)


def download(url: str, path: Path, told: Callable[[int, int], None]) -> None:
    """Fill ``path``, after what an earlier try left in it; ``told`` bytes so far and in all.

    A line that falls silent is hung up, and the rest asked for again. Unreachable when it breaks
    off, or stays silent: what has come is kept in ``path``.
    """
    for _ in range(TRIES - 1):
        with suppress(Silent):
            return _download(url, path, told)
    return _download(url, path, told)


def _download(url: str, path: Path, told: Callable[[int, int], None]) -> None:
    start = path.stat().st_size if path.is_file() else 0
    try:
        answer = _asked(url, start)
    except _NothingMore:
        return
    with answer, path.open("ab" if answer.status == PARTIAL else "wb") as file:
        total = file.tell() + int(answer.headers.get("Content-Length", 0))
        for piece in _pieces(answer):
            file.write(piece)
            told(file.tell(), max(total, file.tell()))
        if file.tell() < total:
            raise Unreachable(f"it broke off after {file.tell()} of {total} bytes")


class _NothingMore(Exception):
    """All bytes are here."""


def _asked(url: str, start: int = 0) -> HTTPResponse:
    """The answer from byte ``start`` on, or from the first where the server will not."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    with _reasons():
        try:
            answer: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
            return answer
        except HTTPError as error:
            if not start or error.code != BEYOND_THE_END:
                raise
            if error.headers.get("Content-Range") == f"bytes */{start}":
                raise _NothingMore from error
    return _asked(url)


def _pieces(answer: HTTPResponse) -> Iterator[bytes]:
    with _reasons():
        while piece := answer.read1(CHUNK):
            yield piece


@contextmanager
def _reasons() -> Iterator[None]:
    """A disk that is full is no fault of the network's: only reading stands in here."""
    try:
        yield
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        kind = Silent if isinstance(reason, TimeoutError) else Unreachable
        raise kind(str(reason) or repr(error)) from error
