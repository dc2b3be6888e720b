"""Several workers at once: pieces are given out, and those that were lost are given out again."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from bench.errors import UserError
from bench.executors import Told
from bench.executors.beats import Beat, Watch
from bench.pieces import Job, Outcome, Piece

TRIES = 3
"""How often a piece is begun before the run gives up; more workers do not die by chance."""
TICK = 0.5
"""Seconds between two looks at what is under way."""


class Crew(Protocol):
    """How one kind of worker is given a piece, and how it is stopped."""

    @property
    def workers(self) -> int: ...

    @property
    def patience(self) -> float: ...

    def start(self, piece: Piece) -> "Future[Outcome]":
        """Have it done by whoever is free."""
        ...

    def ended(self, piece: Piece, lost: bool) -> None:
        """The piece is done, or its worker is gone."""
        ...

    def nothing_waits(self) -> None:
        """Called while the last pieces are under way and workers may be idle."""
        ...

    def stop(self, piece: Piece, future: "Future[Outcome]") -> None:
        """End its worker; the future ends, too."""
        ...

    def lost(self, error: BaseException) -> str | None:
        """How a worker was lost, in words, where this is what an error says."""
        ...

    def beat(self, piece: Piece) -> Beat | None:
        """What the piece's worker told last; None before it began."""
        ...


def do_with(
    crew: Crew, jobs: Sequence[Job], pieces: Iterable[Piece], told: Told
) -> Iterator[tuple[Piece, Outcome]]:
    """Pieces as they are finished. See ``Pool.do``."""
    watch, tries = Watch(crew.patience, told), Counter[str]()
    waiting, under_way = iter(pieces), dict[Future[Outcome], Piece]()
    again, stopped = list[Piece](), set[str]()
    while True:
        while len(under_way) < crew.workers:
            piece = again.pop() if again else next(waiting, None)
            if piece is None:
                break
            under_way[crew.start(piece)] = piece
        if not under_way:
            return
        for future in wait(under_way, TICK, FIRST_COMPLETED).done:
            piece = under_way.pop(future)
            watch.forget(piece)
            why = _how_lost(crew, future, piece.key in stopped)
            stopped.discard(piece.key)
            crew.ended(piece, lost=why is not None)
            if why is None:
                yield piece, _result(future)
                continue
            tries[piece.key] += 1
            if tries[piece.key] == TRIES:
                yield piece, UserError(_given_up(piece.told(jobs), why))
            else:
                again.append(piece)
        if len(under_way) < crew.workers:
            crew.nothing_waits()
        for future, piece in list(under_way.items()):
            if watch.look(piece, crew.beat(piece)):
                stopped.add(piece.key)
                crew.stop(piece, future)


def _result(future: "Future[Outcome]") -> Outcome:
    """What a worker came to, or says that it cannot, whatever brought this here."""
    error = future.exception()
    for told in (getattr(error, "cause", None), error):
        if isinstance(told, UserError):
            return told
    return future.result()


def _how_lost(crew: Crew, future: "Future[Outcome]", stopped: bool) -> str | None:
    """None for a piece that was done, and for one whose worker says why it cannot be."""
    error = None if future.cancelled() else future.exception()
    lost = crew.lost(error) if error else None
    if future.cancelled() or (lost and stopped):
        return f"told nothing for {crew.patience / 60:g} minutes and was stopped"
    return lost


def _given_up(what: str, why: str) -> str:
    return (
        f"{what} was begun {TRIES} times and every worker was lost (the last one {why}): look for "
        "what ends them, memory above all, and run the same command again; everything finished "
        "is kept."
    )
