"""Features once computed are kept: by recipe and image digest, shared by processes."""

import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.paths import cache

Vector = NDArray[Any]
WAIT = 120.0
"""Seconds that a process waits for another one's writing."""
AT_ONCE = 500
"""Digests in one query: SQLite's older builds take 999 parameters."""


class FeatureStore:
    """Arrays under (recipe, digest): what was asked of a picture, and the picture.

    A cache: what it holds can be computed again, and deleting the file loses nothing else. Its
    arrays come back bit for bit. UserError when the file is no store or cannot be opened.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache() / "features.sqlite"

    def get(self, recipe: str, digests: Iterable[str]) -> dict[str, Vector]:
        """Those of ``digests`` that are here."""
        wanted = list(dict.fromkeys(digests))
        found: dict[str, Vector] = {}
        with self._connection() as connection:
            for start in range(0, len(wanted), AT_ONCE):
                found.update(_select(connection, recipe, wanted[start : start + AT_ONCE]))
        return found

    def put(self, recipe: str, vectors: Mapping[str, Vector]) -> None:
        """Keep all of them or none; one that is here already stays as it is."""
        rows = [(recipe, digest, _packed(vector)) for digest, vector in vectors.items()]
        with self._connection() as connection, connection:
            connection.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, timeout=WAIT)
            try:
                with suppress(sqlite3.OperationalError):  # another one does it just now
                    connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS features "
                    "(recipe TEXT, digest TEXT, vector BLOB, PRIMARY KEY (recipe, digest))"
                )
                yield connection
            finally:
                connection.close()
        except (sqlite3.DatabaseError, ValueError, EOFError, MemoryError) as error:
            raise UserError(
                f"The feature cache {self.path} cannot be used ({error}); delete it, it is filled "
                "again as needed."
            ) from error


def _select(
    connection: sqlite3.Connection, recipe: str, digests: Sequence[str]
) -> dict[str, Vector]:
    marks = ",".join("?" * len(digests))
    query = f"SELECT digest, vector FROM features WHERE recipe = ? AND digest IN ({marks})"
    return {
        digest: _unpacked(blob) for digest, blob in connection.execute(query, (recipe, *digests))
    }


def _packed(vector: Vector) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, vector, allow_pickle=False)
    return buffer.getvalue()


def _unpacked(blob: bytes) -> Vector:
    vector: Vector = np.load(io.BytesIO(blob), allow_pickle=False)
    return vector
