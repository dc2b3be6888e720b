"""kill -9 at any moment, of whom it may hit: the same command ends with the same bytes."""

import os
import signal
from random import Random

import pytest

from tests.faults.kills import Kill, moments
from tests.faults.lives import IMAGES, TWO, Life, count, until

SAMPLE = moments(Random(7), {"driver": 2, "worker": 2})


@pytest.mark.parametrize("kill", SAMPLE, ids=str)
def test_a_killed_run_ends_with_the_bytes_of_an_undisturbed_one(
    kill: Kill, life: Life, undisturbed: Life
) -> None:
    kill.carry_out(life)
    assert life.contents() == undisturbed.contents()


def test_the_undisturbed_run_leaves_what_it_should_and_nothing_else(undisturbed: Life) -> None:
    names = set(undisturbed.contents())
    assert sum(name.endswith(".png") for name in names) == IMAGES
    others = {name for name in names if not name.startswith(("images/", "checkpoints/"))}
    assert others == {".lock", "log.jsonl", "manifest.json", "row.json", "rows.parquet"}


def test_nothing_lives_on_three_seconds_after_its_driver_was_killed(life: Life) -> None:
    driver = life.begin(*TWO)
    until(lambda: count(life.out, "images/*/*.png"), driver)
    assert len(life.workers()) == 2
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    assert life.is_gone(within=3), life.processes()
