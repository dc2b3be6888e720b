"""Every worker of this machine has an accelerator, or its share of one, to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.executors.devices import VISIBLE, devices, places, take_device

TAKE = """
import sys
from pathlib import Path
from bench.executors.devices import take_device
print(take_device(Path(sys.argv[1]), float(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the driver of a machine with two free ones."""
    monkeypatch.setenv(VISIBLE, "4,7")


def worker(folder: Path, share: float = 1.0) -> subprocess.Popen[str]:
    """A process that takes one and holds it until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", TAKE, folder, str(share)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def taken(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_what_others_hid_is_not_used() -> None:
    assert devices() == ["4", "7"]
    os.environ[VISIBLE] = ""
    assert devices() == []


@pytest.mark.parametrize(
    ("share", "room"), [(1.0, 2), (2.0, 2), (0.5, 4), (0.4, 4), (0.25, 8), (0.0, 0)]
)
def test_workers_that_want_less_share_one(share: float, room: int) -> None:
    assert len(places(["4", "7"], share)) == room


@given(st.integers(1, 8), st.floats(0.05, 1))
def test_nobody_is_promised_more_than_there_is(count: int, share: float) -> None:
    room = places([str(number) for number in range(count)], share)
    assert all(room.count(name) * share <= 1 + 1e-9 for name in room)


def test_each_worker_has_one_that_no_living_one_holds(tmp_path: Path) -> None:
    first, second = worker(tmp_path), worker(tmp_path)
    assert {taken(first), taken(second)} == {"4", "7"}
    third = worker(tmp_path)
    assert "more workers" in third.communicate()[1]
    first.kill()
    first.communicate()
    after = worker(tmp_path)
    assert taken(after) in ("4", "7")
    for process in (second, after):
        process.kill()
        process.communicate()


def test_where_there_is_none_or_none_is_wanted_workers_see_what_there_is(tmp_path: Path) -> None:
    assert take_device(tmp_path, 0.0) is None
    os.environ[VISIBLE] = ""
    assert take_device(tmp_path, 1.0) is None
    assert not list(tmp_path.iterdir())
