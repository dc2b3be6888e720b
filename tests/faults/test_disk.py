"""A disk that others fill in the middle of a run: one sentence, and what is there is kept."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import sentence_of
from tests.faults.lives import IMAGES, TWO, Life, count, until


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)]
    if subprocess.run(small, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, but: int) -> Path:
    """Somebody else's file, which leaves so many bytes."""
    other = disk / "of-somebody-else"
    other.write_bytes(bytes(shutil.disk_usage(disk).free - but))
    return other


def test_a_disk_that_fills_up_under_two_workers_loses_nothing(
    tiny_disk: Path, life: Life, undisturbed: Life
) -> None:
    (tiny_disk / "run").mkdir()
    life.out.symlink_to(tiny_disk / "run")
    run = life.begin(*TWO)
    until(lambda: count(life.out, "images/*/*.png"), run)
    other = fill(tiny_disk, but=100_000)
    assert "disk is full" in sentence_of(life.end(run))
    assert not life.processes()
    assert 0 < count(life.out, "images/*/*.png") < IMAGES
    other.unlink()
    life.finish(*TWO)
    assert life.contents() == undisturbed.contents()
