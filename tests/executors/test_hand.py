"""A worker's process: what it answers, and what is said when it ends too early."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.errors import UserError
from bench.executors.hand import Hand, Lost
from bench.pieces import Outcome, Piece, Seen


class Unsendable(Exception):
    """An error that can be packed, and not unpacked."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def prepare() -> Callable[[Piece], Outcome]:
    return do


def do(piece: Piece) -> Outcome:
    """What the piece's name says."""
    if piece.name == "refuse":
        raise UserError("It cannot be done.")
    if piece.name == "fail":
        raise Unsendable("one", "two")
    if piece.name == "die":
        os._exit(3)
    if piece.name == "hang":
        time.sleep(60)
    return Seen(damaged=(piece.name, str(os.getpid())))


def piece(name: str) -> Piece:
    return Piece("draw", 0, {}, name=name)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Hand]:
    hand = Hand(prepare)
    yield hand
    hand.end()


def test_it_answers_one_piece_after_another_from_one_process_of_its_own(lasting: Hand) -> None:
    first, second = lasting.do(piece("a")), lasting.do(piece("b"))
    assert isinstance(first, Seen) and isinstance(second, Seen)
    assert (first.damaged[0], second.damaged[0]) == ("a", "b")
    assert first.damaged[1] == second.damaged[1] != str(os.getpid())


def test_what_a_piece_raises_comes_back_and_the_process_goes_on(lasting: Hand) -> None:
    with pytest.raises(UserError) as refused:
        lasting.do(piece("refuse"))
    assert str(refused.value) == "It cannot be done."
    with pytest.raises(RuntimeError, match="Unsendable: one"):
        lasting.do(piece("fail"))
    assert lasting.do(piece("a"))


def test_ctrl_c_is_nothing_to_it_from_its_very_beginning() -> None:
    hand = Hand(prepare)
    assert hand.pid is not None
    os.kill(hand.pid, signal.SIGINT)
    assert hand.do(piece("a"))
    hand.end()


def test_how_it_ended_is_told() -> None:
    hand = Hand(prepare)
    with pytest.raises(Lost, match="left with 3"):
        hand.do(piece("die"))
    with pytest.raises(Lost, match="left with 3"):
        hand.do(piece("a"))


def test_it_is_ended_while_it_hangs() -> None:
    hand = Hand(prepare)
    with ThreadPoolExecutor(1) as threads:
        doing = threads.submit(hand.do, piece("hang"))
        hand.end()
        with pytest.raises(Lost, match="ended by SIGKILL"):
            doing.result(timeout=30)
