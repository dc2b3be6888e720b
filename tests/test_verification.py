"""Weights are held to their published digest, to the recorded one, or to none, which is said."""

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from bench.errors import UserError
from bench.sources import SOURCES
from bench.stock import add
from bench.verification import verify

TENSORS = save({"weight": np.arange(6, dtype=np.float32)})
OTHERS = save({"weight": np.arange(1, 7, dtype=np.float32)})


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with nothing on it."""
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(place: Path) -> Path:
    """A folder of weights that was added."""
    written(place / "mine/config.json", b"{}")
    written(place / "mine/model.safetensors", TENSORS)
    return add("sam-vit-base", place / "mine")


def test_what_was_added_is_as_it_was(place: Path) -> None:
    path = add("dino-vits16", written(place / "mine.safetensors", TENSORS))
    report = verify("dino-vits16")
    assert report.ok and (report.held, report.unheld) == (1, 0)
    assert report.sentence == f"dino-vits16: 1 file unaltered in {path}."


def test_an_altered_file_is_found_though_its_size_and_time_are_the_same(
    place: Path,
) -> None:
    path = add("dino-vits16", written(place / "mine.safetensors", TENSORS))
    path.unlink()
    written(path, OTHERS)
    report = verify("dino-vits16")
    assert (report.ok, report.altered) == (False, ("dino-vits16.safetensors",))
    assert "altered: dino-vits16.safetensors" in report.sentence
    assert "'bench weights fetch dino-vits16'" in report.sentence


def test_every_file_of_a_folder_is_held_and_named(folder: Path) -> None:
    assert verify("sam-vit-base").held == 2
    (folder / "config.json").unlink()
    written(folder / "config.json", b"[]")
    written(folder / "vocab.txt", b"new")
    report = verify("sam-vit-base")
    assert (report.held, report.unheld, report.altered) == (1, 1, ("config.json",))


def test_a_file_that_went_missing_is_named(place: Path) -> None:
    for name in ("config.json", "vocab.txt"):
        written(place / "mine" / name, b"{}")
    written(place / "mine/model.safetensors", TENSORS)
    (add("sam-vit-base", place / "mine") / "vocab.txt").unlink()
    report = verify("sam-vit-base")
    assert (report.ok, report.missing) == (False, ("vocab.txt",))
    assert "missing: vocab.txt" in report.sentence


def test_progress_counts_every_file(folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    verify("sam-vit-base", lambda *done: told.append(done))
    assert told == [("verifying sam-vit-base", 1, 2), ("verifying sam-vit-base", 2, 2)]


@pytest.mark.parametrize("inside", ["torch/hub/checkpoints/squeezenet1_1-b8a52dc0.pth", "own"])
def test_a_published_digest_holds_wherever_the_file_is(
    place: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    own = "home/weights/lpips-squeeze.pth"
    written(place / (own if inside == "own" else inside), b"something else")
    assert not verify("lpips-squeeze").ok
    sha256 = hashlib.sha256(b"something else").hexdigest()[:8]
    known = SOURCES["lpips-squeeze"].model_copy(update={"sha256": sha256})
    monkeypatch.setitem(SOURCES, known.name, known)
    assert verify("lpips-squeeze").held == 1


def test_the_hubs_cache_is_held_to_its_own_names(place: Path) -> None:
    repository = place / "hub/models--timm--vit_small_patch16_224.dino"
    written(repository / "refs/main", b"abc")
    blob = written(repository / "blobs" / hashlib.sha256(TENSORS).hexdigest(), TENSORS)
    link = repository / "snapshots/abc/model.safetensors"
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert verify("dino-vits16").held == 1
    blob.write_bytes(OTHERS)
    assert verify("dino-vits16").altered == ("model.safetensors",)


def test_where_no_digest_is_known_it_is_said(place: Path) -> None:
    written(place / "home/weights/dino-vits16.safetensors", TENSORS)
    report = verify("dino-vits16")
    assert report.ok and (report.held, report.unheld) == (0, 1)
    assert "no digest is known" in report.sentence


def test_what_is_not_here_cannot_be_verified() -> None:
    with pytest.raises(UserError, match="bench weights fetch dino-vits16"):
        verify("dino-vits16")


def test_records_are_what_sha256sum_checks(place: Path, folder: Path) -> None:
    add("dino-vits16", written(place / "mine.safetensors", TENSORS))
    for record in ("dino-vits16.sha256", "sam-vit-base.sha256"):
        command = ["sha256sum", "--check", "--quiet", record]
        done = subprocess.run(command, cwd=place / "home/weights", check=False)
        assert done.returncode == 0
