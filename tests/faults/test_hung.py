"""Workers that hang, and workers that die each time."""

import os
import signal

from bench.executors.crew import TRIES
from tests.commands import sentence_of
from tests.faults.lives import TWO, Life, count, stopped, until

SOON = ("--patience", "0.4")


def test_a_worker_that_hangs_is_replaced_and_its_piece_is_done_again(
    life: Life, undisturbed: Life
) -> None:
    run = life.begin(*TWO, *SOON)
    until(lambda: count(life.out, "images/*/*.png"), run)
    hung = life.workers()[0]
    with stopped(hung):
        assert life.end(run).returncode == 0
        assert hung not in life.processes()
    assert life.contents() == undisturbed.contents()


def test_a_piece_whose_workers_all_die_is_given_up_in_one_sentence(life: Life) -> None:
    run = life.begin(*TWO)
    killed = set[int]()
    while len(killed) < TRIES:
        until(lambda: set(life.workers()) - killed or run.poll() is not None, run)
        [worker] = set(life.workers()) - killed
        os.kill(worker, signal.SIGKILL)
        killed.add(worker)
    sentence = sentence_of(life.end(run))
    assert "Looking for what 'dreambooth' needs was begun 3 times" in sentence
    assert "the last one ended by SIGKILL" in sentence
    life.finish(*TWO)
