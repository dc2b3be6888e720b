"""Workers of this machine: whether one or several, the bytes are the same."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.executors.beats import Beats
from bench.executors.devices import VISIBLE
from bench.executors.hand import Hand
from bench.executors.local import Here, ProcessCrew, Processes
from bench.pieces import Outcome, Piece, Seen
from bench.stamp import stamp
from bench.store import in_turn
from tests.executors.conftest import Make
from tests.trivial import job

PATIENCE = 5.0


def test_two_workers_make_the_bytes_of_one_also_where_subjects_are_trained(
    make: Make, alone: dict[str, bytes]
) -> None:
    both = make("two", Processes(2))
    assert both == alone
    assert sum(name.endswith(".png") for name in both) == 6 * (6 + 2)
    assert sum("dreambooth-mini" in name and ".safetensors" in name for name in both) == 2


def test_what_the_user_can_mend_is_an_outcome_of_its_piece(tmp_path: Path) -> None:
    wrong = Piece("train", 0, {**stamp(), "torch": "0.1"})
    with Here().open([job()]) as pool:
        [(piece, outcome)] = pool.do([wrong], lambda *told: None)
    assert piece is wrong and isinstance(outcome, UserError)


def test_more_workers_than_accelerators_have_room_for_are_refused_before_they_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VISIBLE, "0,1")
    with (
        pytest.raises(UserError, match=r"5 workers want 0\.5 of an accelerator each, and 4 have"),
        Processes(5, per_worker=0.5).open([job()]),
    ):
        pass


def test_a_worker_that_hangs_before_its_first_word_is_replaced(tmp_path: Path) -> None:
    prepared = chain([_hang], repeat(_see_nothing))
    with crew_of(lambda: Hand(next(prepared)), tmp_path) as crew:
        [(_, outcome)] = crew.do([Piece("draw", 0, {})], unheard)
    assert outcome == Seen()


def test_a_worker_that_waits_for_another_runs_work_is_not_taken_for_hung(tmp_path: Path) -> None:
    hired = list[Hand]()

    def hire() -> Hand:
        hired.append(Hand(partial(_wait_and_see, tmp_path)))
        return hired[-1]

    with (
        crew_of(hire, tmp_path) as crew,
        ThreadPoolExecutor(1) as threads,
        in_turn(tmp_path / "shared"),
    ):
        doing = threads.submit(list, crew.do([Piece("draw", 0, {})], unheard))
        assert not wait([doing], timeout=PATIENCE + 4).done
        waiting = hired.copy()
    assert [outcome for _, outcome in doing.result()] == [Seen()]
    assert len(waiting) == len(hired) == 1


@contextmanager
def crew_of(hire: Callable[[], Hand], folder: Path) -> Iterator[ProcessCrew]:
    with ThreadPoolExecutor(1) as threads:
        crew = ProcessCrew([job()], hire, threads, Beats(folder), 1, PATIENCE)
        yield crew
        crew.dismiss()


def unheard(piece: Piece, title: str, done: int, total: int) -> None:
    """Nobody listens."""


def _hang() -> Callable[[Piece], Outcome]:
    time.sleep(600)
    return _nothing


def _see_nothing() -> Callable[[Piece], Outcome]:
    return _nothing


def _nothing(piece: Piece) -> Outcome:
    return Seen()


def _wait_and_see(folder: Path) -> Callable[[Piece], Outcome]:
    return partial(_after_others, folder)


def _after_others(folder: Path, piece: Piece) -> Outcome:
    with in_turn(folder / "shared", partial(Beats(folder).tell, piece)):
        return Seen()
