"""The step that is kept: the best, of equals the earliest, through kills at any moment."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.methods.rpo_selection import Selection


class Killed(Exception):
    """Stands for a kill."""


class Script:
    """Worths to be told one after another, and what was kept meanwhile."""

    def __init__(self, folder: Path, worths: Sequence[float], kill_keeping: bool = False) -> None:
        self.file, self.kept, self.looked = folder / "worths.json", 0, 0
        self._worths: Iterator[float] = iter(worths)
        self._kill = kill_keeping

    def selection(self) -> Selection:
        return Selection(self.file, self._worth, self._keep)

    def _worth(self) -> float:
        self.looked += 1
        return next(self._worths)

    def _keep(self) -> None:
        if self._kill:
            raise Killed
        self.kept = self.looked


def test_the_best_is_kept_and_later_worse_ones_are_not(tmp_path: Path) -> None:
    script = Script(tmp_path, [0.3, 0.7, 0.6])
    selection = script.selection()
    for step in (40, 80, 120):
        selection.offer(step)
    assert (selection.best, script.kept) == (80, 2)


def test_of_equal_ones_the_earliest_is_kept(tmp_path: Path) -> None:
    script = Script(tmp_path, [0.7, 0.7])
    selection = script.selection()
    selection.offer(40)
    selection.offer(80)
    assert (selection.best, script.kept) == (40, 1)


def test_a_step_is_looked_at_once_also_by_a_later_process(tmp_path: Path) -> None:
    first = Script(tmp_path, [0.3, 0.7])
    selection = first.selection()
    for step in (40, 80, 80):
        selection.offer(step)
    later = Script(tmp_path, [0.5])
    selection = later.selection()
    for step in (40, 80, 120):
        selection.offer(step)
    assert (later.looked, later.kept, selection.best) == (1, 0, 80)
    assert json.loads(later.file.read_text()) == {"40": 0.3, "80": 0.7, "120": 0.5}


def test_a_kill_while_keeping_is_made_good(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        Script(tmp_path, [0.3], kill_keeping=True).selection().offer(40)
    again = Script(tmp_path, [0.3])
    selection = again.selection()
    selection.offer(40)
    assert (again.kept, selection.best) == (1, 40)


def test_what_is_worth_no_number_is_never_kept(tmp_path: Path) -> None:
    script = Script(tmp_path, [math.nan, 0.2, math.nan])
    selection = script.selection()
    selection.offer(40)
    assert (selection.best, script.kept) == (None, 0)
    selection.offer(80)
    selection.offer(120)
    assert (selection.best, script.kept) == (80, 2)
