"""Workers of other code than the run was started with are refused."""

import os
import signal
from pathlib import Path

from tests.commands import sentence_of
from tests.faults.lives import TWO, Life, until


def improve(code: Path) -> None:
    with (code / "bench/names.py").open("a") as source:
        source.write("# it does the same\n")


def test_code_that_changes_in_the_middle_of_a_run_is_not_mixed_with_what_it_began_with(
    code: Path, tmp_path: Path
) -> None:
    life = Life(tmp_path, variables={"PYTHONPATH": str(code)})
    run = life.begin(*TWO)
    until(lambda: (life.out / "manifest.json").exists(), run)
    improve(code)
    os.kill(life.workers()[0], signal.SIGKILL)
    sentence = sentence_of(life.end(run))
    assert "has subjectbench " in sentence and "the run was started with" in sentence
    assert "install the same on every machine" in sentence
