"""Digests are remembered, and never wrong for it."""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import digests
from bench.digests import digest
from bench.identity import file_digest, identity

LONG_AGO = time.time_ns() - 60_000_000_000


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read to be hashed."""
    seen: list[Path] = []

    def counting(path: Path) -> str:
        seen.append(path)
        return file_digest(path)

    monkeypatch.setattr(digests, "file_digest", counting)
    return seen


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that has lain still for a minute."""
    return written(tmp_path / "a.safetensors", b"weights")


def written(path: Path, content: bytes, at: int = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(at, at))
    return path


def test_a_file_is_read_once_and_remembered(weights: Path, read: list[Path]) -> None:
    assert digest(weights) == digest(weights) == hashlib.sha256(b"weights").hexdigest()
    assert read == [weights]


def test_a_relative_path_is_the_same_file(
    weights: Path, read: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    assert digest(Path(weights.name)) == digest(weights)
    assert len(read) == 1


def test_a_changed_file_is_read_again(weights: Path) -> None:
    before = digest(weights)
    written(weights, b"WEIGHTS", at=LONG_AGO + 1)
    assert digest(weights) == hashlib.sha256(b"WEIGHTS").hexdigest() != before


def test_a_file_that_may_still_be_written_is_not_remembered(tmp_path: Path) -> None:
    """Two writings within one tick of the file system's clock leave one size and one time."""
    now = time.time_ns()
    path = written(tmp_path / "a.safetensors", b"weights", at=now)
    before = digest(path)
    written(path, b"WEIGHTS", at=now)
    assert digest(path) == hashlib.sha256(b"WEIGHTS").hexdigest() != before


def truncated(memory: Path) -> None:
    memory.write_bytes(memory.read_bytes()[:-9])


def nonsense(memory: Path) -> None:
    memory.write_text('{"sha256": 7}')


def no_digest(memory: Path) -> None:
    text = memory.read_text()
    memory.write_text(text[: text.rindex('"') - 3] + '"]')


def binary(memory: Path) -> None:
    memory.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize("damage", [truncated, nonsense, no_digest, binary])
def test_a_damaged_memory_is_ignored_and_made_anew(
    weights: Path, own_home: Path, read: list[Path], damage: Callable[[Path], None]
) -> None:
    expected = digest(weights)
    (memory,) = (own_home / "cache/digests").iterdir()
    whole = memory.read_bytes()
    damage(memory)
    assert digest(weights) == expected
    assert memory.read_bytes() == whole
    assert len(read) == 2


def test_a_home_that_cannot_be_written_forgets_and_still_answers(
    weights: Path, own_home: Path
) -> None:
    own_home.write_text("a file")
    assert digest(weights) == hashlib.sha256(b"weights").hexdigest()


def test_a_folders_digest_is_of_what_a_network_is_read_from(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name in ("config.json", "unet/model.safetensors"):
        written(folder / name, name.encode())
    names = ("config.json", "unet/model.safetensors")
    expected = identity({name: hashlib.sha256(name.encode()).hexdigest() for name in names})
    assert digest(folder) == expected
    for name in ("README.md", "grid.png", ".cache/notes.json"):
        written(folder / name, b"beside the point")
    assert digest(folder) == expected


@pytest.mark.parametrize("change", ["content", "name"])
def test_a_folders_digest_tells_any_change(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "model/a.json", b"{}")
    before = digest(path.parent)
    if change == "content":
        written(path, b"[]", at=LONG_AGO + 1)
    else:
        path.rename(path.with_name("b.json"))
    assert digest(path.parent) != before
