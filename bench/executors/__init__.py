"""Who does the pieces of a run: this process, several of this machine, or a Ray cluster."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bench.pieces import Job, Outcome, Piece

Told = Callable[[Piece, str, int, int], None]
"""Progress of a piece: its title, how much is done, and of how much."""


class Pool(Protocol):
    """Workers that are there."""

    @property
    def workers(self) -> int:
        """How many pieces are done at once, at most."""

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        """Pieces as they are finished, in any order; each is asked for when a worker is free.

        What cannot be done comes to a UserError; a piece that was lost with its worker is done
        again, a few times.
        """
        ...


class Executor(Protocol):
    """Where workers come from."""

    def open(self, jobs: Sequence[Job]) -> AbstractContextManager[Pool]:
        """Workers for these jobs; they are gone when the context is left."""
        ...
