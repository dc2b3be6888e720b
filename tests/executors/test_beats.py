"""Workers tell that they are alive by files that nobody locks."""

import time
from pathlib import Path

import pytest

from bench.executors.beats import Beat, Beats, Watch
from bench.pieces import Piece

MUG, CUP = Piece("draw", 0, {}, name="mug"), Piece("draw", 0, {}, name="cup")


def test_what_a_worker_told_last_is_read_by_others(tmp_path: Path) -> None:
    Beats(tmp_path).tell(MUG, "generate", 6, 6)
    assert Beats(tmp_path).read(MUG) == ("generate", 6, 6)
    assert Beats(tmp_path).read(CUP) is None


def test_a_piece_that_is_begun_again_has_told_nothing(tmp_path: Path) -> None:
    Beats(tmp_path).tell(MUG, "generate", 6, 6)
    Beats(tmp_path).forget(MUG)
    Beats(tmp_path).forget(MUG)
    assert Beats(tmp_path).read(MUG) is None


def test_a_worker_that_tells_all_the_time_writes_now_and_then(tmp_path: Path) -> None:
    told = Beats(tmp_path)
    for done in range(100):
        told.tell(MUG, "train", done, 100)
    assert told.read(MUG) == ("train", 0, 100)
    told.tell(MUG, "train", 100, 100)
    assert told.read(MUG) == ("train", 100, 100)


def test_a_damaged_beat_is_none(tmp_path: Path) -> None:
    told = Beats(tmp_path)
    told.tell(MUG, "train", 1, 1)
    [file] = tmp_path.iterdir()
    file.write_text('["tra')
    assert told.read(MUG) is None


class TestTheWatch:
    @pytest.fixture
    def now(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """A clock that is set by hand."""
        clock = [0.0]
        monkeypatch.setattr("bench.executors.beats.time.monotonic", lambda: clock[0])
        return clock

    @staticmethod
    def watch() -> tuple[Watch, list[Beat]]:
        heard: list[Beat] = []
        return Watch(10.0, lambda piece, *beat: heard.append(beat)), heard

    def test_a_piece_that_tells_nothing_new_for_too_long_is_still(self, now: list[float]) -> None:
        watch, heard = self.watch()
        stills = []
        for at, done in ((0, 1), (9, 1), (11, 2), (21, 2), (22, 2)):
            now[0] = at
            stills.append(watch.look(MUG, ("train", done, 9)))
        assert stills == [False, False, False, False, True]
        assert heard == [("train", 1, 9), ("train", 2, 9)]

    def test_a_piece_that_waits_for_a_worker_is_not_still(self, now: list[float]) -> None:
        watch, heard = self.watch()
        watch.look(MUG, None)
        now[0] = 1000.0
        assert not watch.look(MUG, None) and not heard

    def test_a_piece_that_is_done_again_has_its_patience_again(self, now: list[float]) -> None:
        watch, _ = self.watch()
        watch.look(MUG, ("train", 1, 9))
        now[0] = 1000.0
        watch.forget(MUG)
        assert not watch.look(MUG, ("train", 1, 9))


def test_the_clock_of_the_watch_cannot_be_set() -> None:
    assert not time.get_clock_info("monotonic").adjustable
