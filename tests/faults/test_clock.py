"""A clock that is set a day forth and two days back in the middle of a run changes nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.lives import TWO, Life, count, until

SOURCE = Path(__file__).with_name("wrong_clock.c")


@pytest.fixture(scope="module")
def wrong_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands before the C library, and tells another time of the day than it does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


@pytest.mark.parametrize("more", [(), (*TWO, "--patience", "1")], ids=["here", "two workers"])
def test_a_clock_that_jumps_changes_no_byte_and_nobody_is_taken_for_hung(
    more: tuple[str, ...], wrong_clock: Path, tmp_path: Path, undisturbed: Life
) -> None:
    days = tmp_path / "days"
    days.write_text("0")
    clock = {"LD_PRELOAD": str(wrong_clock), "WRONG_BY_DAYS": str(days)}
    life = Life(tmp_path, variables=clock)
    run = life.begin(*more)
    until(lambda: "mug-000" in _log(life), run)
    days.write_text("1")
    until(lambda: count(life.out, "images/*/*.png") >= 6, run)
    days.write_text("-1")
    done = life.end(run)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in _log(life).splitlines()]
    assert len({event["time"].split("T")[0] for event in events}) == 3
    assert life.contents() == undisturbed.contents()


def _log(life: Life) -> str:
    log = life.out / "log.jsonl"
    return log.read_text() if log.exists() else ""
