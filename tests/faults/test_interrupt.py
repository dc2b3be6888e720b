"""Ctrl-C, as a terminal sends it: the run ends at once, and goes on from there when asked to."""

import os
import signal
import time

import pytest

from tests.faults.lives import TWO, Life, count, soon, until


@pytest.mark.parametrize("more", [(), TWO], ids=["this process", "two workers"])
@pytest.mark.parametrize("stage", ["imports", "drawing"])
def test_ctrl_c_ends_a_run_that_goes_on_with_the_same_bytes(
    more: tuple[str, ...], stage: str, life: Life, undisturbed: Life
) -> None:
    run = life.begin(*more)
    until(lambda: life.workers() or life.home.exists(), run)
    if stage == "drawing":
        until(lambda: count(life.out, "images/*/*.png"), run)
    else:
        time.sleep(0.5)
    began = time.monotonic()
    os.killpg(run.pid, signal.SIGINT)
    done = life.end(run)
    assert time.monotonic() - began < 10
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip().splitlines() == [
        "bench: Interrupted; everything finished is kept: run the same command to go on."
    ]
    assert soon(lambda: not life.processes(), within=2), life.processes()
    if stage == "drawing":
        life.finish(*more)
        assert life.contents() == undisturbed.contents()
