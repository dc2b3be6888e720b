"""Beats: small files by which workers tell how far they have come, and that they are alive."""

import json
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from bench.executors import Told
from bench.pieces import Piece

EVERY = 0.5
"""Seconds between two beats of a worker."""
Beat = tuple[str, int, int]


@dataclass
class Beats:
    """A folder with one file per piece; nobody locks anything, so nobody's death hinders others."""

    folder: Path
    _last: float = field(default=0.0, init=False)

    def tell(self, piece: Piece, title: str, done: int, total: int) -> None:
        """What the worker has to say, unless it did so just now."""
        if title and done < total and time.monotonic() - self._last < EVERY:
            return
        self._last = time.monotonic()
        part = self._file(piece).with_suffix(".part")
        part.write_text(json.dumps([title, done, total]), encoding="utf-8")
        part.replace(self._file(piece))

    def read(self, piece: Piece) -> Beat | None:
        """The last beat of a piece; None before the first."""
        try:
            title, done, total = json.loads(self._file(piece).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return title, done, total

    def forget(self, piece: Piece) -> None:
        """It is to be begun, whoever began it before."""
        self._file(piece).unlink(missing_ok=True)

    def _file(self, piece: Piece) -> Path:
        return self.folder / sha256(piece.key.encode()).hexdigest()[:24]


@dataclass
class Watch:
    """Notes when a piece under way last told something new, by a clock that cannot be set."""

    patience: float
    told: Told
    _seen: dict[str, tuple[Beat | None, float]] = field(default_factory=dict, init=False)

    def look(self, piece: Piece, beat: Beat | None) -> bool:
        """Whether the piece has been still for longer than ``patience`` seconds.

        One that waits for a worker has not begun, and is not still.
        """
        last, since = self._seen.get(piece.key, (None, time.monotonic()))
        if beat != last or beat is None:
            self._seen[piece.key] = beat, time.monotonic()
            if beat is not None:
                self.told(piece, *beat)
            return False
        return time.monotonic() - since > self.patience

    def forget(self, piece: Piece) -> None:
        self._seen.pop(piece.key, None)
