"""A crew loses workers and pieces are given out again; whoever loses too many says so."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from bench.errors import UserError
from bench.executors.beats import Beat
from bench.executors.crew import TRIES, do_with
from bench.pieces import Outcome, Piece, Seen
from tests.trivial import job

Work = Callable[[Piece, int], Outcome]
"""What a worker does of a piece that is begun for the so manieth time."""


class Died(Exception):
    """A worker is gone."""


@dataclass
class Threads:
    """Workers that die and hang by saying so."""

    work: Work
    workers: int = 2
    patience: float = 0.0
    begun: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)
    lost_ones: list[str] = field(default_factory=list)
    _busy: int = 0

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers)

    def start(self, piece: Piece) -> Future[Outcome]:
        self.begun[piece.name] += 1
        self.order.append(piece.name)
        self._busy += 1
        self.at_once.append(self._busy)
        times = self.begun[piece.name]
        if piece.name == "hung" and times == 1:
            return Future()
        return self._pool.submit(self.work, piece, times)

    def ended(self, piece: Piece, lost: bool) -> None:
        self._busy -= 1
        if lost:
            self.lost_ones.append(piece.name)

    def nothing_waits(self) -> None:
        """Threads are no burden."""

    def stop(self, piece: Piece, future: Future[Outcome]) -> None:
        future.cancel()
        future.set_running_or_notify_cancel()

    def lost(self, error: BaseException) -> str | None:
        return "ended by a test" if isinstance(error, Died) else None

    def beat(self, piece: Piece) -> Beat | None:
        return ("train", 1, 9)


def pieces(*names: str) -> Iterator[Piece]:
    return (Piece("draw", 0, {}, name=name) for name in names)


def unheard(piece: Piece, title: str, done: int, total: int) -> None:
    """Nobody listens."""


def done_by(crew: Threads, *names: str) -> dict[str, Outcome]:
    outcomes = do_with(crew, [job()], pieces(*names), unheard)
    return {piece.name: outcome for piece, outcome in outcomes}


def well(piece: Piece, times: int) -> Outcome:
    return Seen(damaged=(piece.name,))


def test_all_pieces_are_begun_in_order_and_so_many_at_once() -> None:
    crew, names = Threads(well, workers=3), [str(number) for number in range(20)]
    found = done_by(crew, *names)
    assert found == {name: Seen(damaged=(name,)) for name in names}
    assert crew.order == names and max(crew.at_once) == 3


def test_a_piece_is_made_when_a_worker_is_free_for_it() -> None:
    made: list[str] = []

    def one_by_one() -> Iterator[Piece]:
        for piece in pieces(*"abcdef"):
            made.append(piece.name)
            yield piece

    outcomes = do_with(Threads(well), [job()], one_by_one(), unheard)
    next(outcomes)
    assert made == ["a", "b"]


def test_a_piece_that_was_lost_with_its_worker_is_done_again() -> None:
    def work(piece: Piece, times: int) -> Outcome:
        if piece.name == "b" and times < TRIES:
            raise Died
        return well(piece, times)

    crew = Threads(work)
    assert set(done_by(crew, *"abc")) == {"a", "b", "c"}
    assert crew.begun == {"a": 1, "b": TRIES, "c": 1}
    assert crew.lost_ones == ["b"] * (TRIES - 1)


def test_a_piece_that_every_worker_dies_of_is_given_up_and_the_others_are_done() -> None:
    def work(piece: Piece, times: int) -> Outcome:
        if piece.name == "b":
            raise Died
        return well(piece, times)

    crew = Threads(work)
    found = done_by(crew, *"abc")
    assert crew.begun["b"] == TRIES
    assert isinstance(found["a"], Seen) and isinstance(found["c"], Seen)
    assert str(found["b"]).startswith(
        "Drawing for 'noise' (b) was begun 3 times and every worker was lost (the last one ended "
        "by a test): "
    )


def test_what_the_user_can_mend_is_the_outcome_and_is_not_tried_again() -> None:
    def work(piece: Piece, times: int) -> Outcome:
        raise UserError("The weights are not here.")

    crew = Threads(work)
    found = done_by(crew, "a")
    assert isinstance(found["a"], UserError) and crew.begun["a"] == 1


def test_what_a_library_wraps_is_told_as_the_worker_said_it() -> None:
    class Wrapped(Exception):
        cause = UserError("The weights are not here.")

    def work(piece: Piece, times: int) -> Outcome:
        raise Wrapped

    assert str(done_by(Threads(work), "a")["a"]) == "The weights are not here."


def test_a_fault_of_the_code_is_raised() -> None:
    def work(piece: Piece, times: int) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        done_by(Threads(work), "a")


def test_a_worker_that_is_still_for_too_long_is_stopped_and_its_piece_done_again() -> None:
    crew, began = Threads(well, patience=0.1), time.monotonic()
    assert set(done_by(crew, "hung", "a")) == {"hung", "a"}
    assert crew.begun == {"hung": 2, "a": 1} and crew.lost_ones == ["hung"]
    assert time.monotonic() - began < 10
