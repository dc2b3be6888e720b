"""A run goes on where it was killed, and ends with the bytes of an undisturbed one."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands import QUICK, QUICK_PAIRS, bench, bench_json, refusal, start

SMALL = ("--suite", "mini", "--limit-subjects", "4", *QUICK_PAIRS)
SFO = ("run", "--method", "sfo", *SMALL, *QUICK)
FEW = ("--suite", "mini", "--limit-subjects", "3", "--set", "steps=2")
SFT = ("run", "--method", "sft-base", *FEW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def undisturbed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    done = bench(*SFO, "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def finished(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "finished"
    done = bench(*SFT, "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def contents(run: Path) -> dict[str, bytes]:
    """All that follows from the specification: not the log, not half-way checkpoints."""
    kept = ("images/**/*.png", "images/images.jsonl", "checkpoints/*.safetensors", "*.parquet")
    files = [path for pattern in (*kept, "*.json") for path in run.glob(pattern)]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def kill_when(process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Kill -9 as soon as the run has come so far; it must not have ended by then."""
    until = time.monotonic() + 300
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "the run never came that far"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def count(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(
    undisturbed: Path, tmp_path: Path
) -> None:
    out, home = tmp_path / "killed", tmp_path / "home"
    moments: list[Callable[[], bool]] = [
        lambda: count(home, "cache/pairs/*/*.png") >= 5,
        lambda: (out / "checkpoints/sfo/state.pt").exists(),
        lambda: count(out, "images/*/*.png") >= 3,
        lambda: count(out, "images/*/*.png") >= 20,
    ]
    for reached in moments:
        kill_when(start(*SFO, "--out", out, home=home), reached)
    done = bench(*SFO, "--out", out, home=home)
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(undisturbed)
    assert len([name for name in contents(out) if name.endswith(".png")]) == 24


def test_a_finished_run_is_shown_again_and_not_made_again(copied: Path, home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*.png")}
    rows = (copied / "rows.parquet").stat().st_mtime_ns
    done = bench(*SFT, "--out", copied, home=home)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*.png")} == before
    assert (copied / "rows.parquet").stat().st_mtime_ns == rows


def test_the_first_loss_of_sfo_is_ln_2(undisturbed: Path) -> None:
    events = [json.loads(line) for line in (undisturbed / "log.jsonl").read_text().splitlines()]
    first = next(event for event in events if event["event"] == "train sfo")
    assert first["step"] == 1
    assert first["loss"] == pytest.approx(0.6931472, abs=1e-6)
    assert first["delta_policy"] == first["delta_reference"]


def test_a_truncated_image_is_named_set_aside_and_drawn_again(
    copied: Path, finished: Path, home: Path
) -> None:
    image = copied / "images/mug-000/02-0.png"
    image.write_bytes(image.read_bytes()[:100])
    sentence = refusal(*SFT, "--out", copied, home=home)
    assert "mug-000/02-0.png" in sentence
    assert (copied / "images/damaged/mug-000/02-0.png").stat().st_size == 100
    assert count(copied, "images/mug-000/*.png") == 5
    done = bench(*SFT, "--out", copied, home=home)
    assert done.returncode == 0, done.stderr
    assert image.read_bytes() == (finished / "images/mug-000/02-0.png").read_bytes()
    assert (copied / "rows.parquet").read_bytes() == (finished / "rows.parquet").read_bytes()


def test_a_folder_of_another_specification_is_refused_and_untouched(
    copied: Path, home: Path
) -> None:
    before = contents(copied)
    sentence = refusal(*SFT, "--set", "steps=3", "--out", copied, home=home)
    assert "steps: 2 there, 3 here" in sentence
    assert contents(copied) == before


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, home: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "is not empty" in refusal(*SFT, "--out", tmp_path, home=home)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_rows_that_were_lost_are_scored_again_from_the_images(
    copied: Path, finished: Path, home: Path
) -> None:
    (copied / "rows.parquet").unlink()
    done = bench(*SFT, "--out", copied, home=home)
    assert done.returncode == 0, done.stderr
    assert (copied / "rows.parquet").read_bytes() == (finished / "rows.parquet").read_bytes()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing(tiny_disk: Path, finished: Path, home: Path) -> None:
    sentence = refusal(*SFT, "--out", tiny_disk / "run", home=home)
    assert "disk is full" in sentence
    kept = count(tiny_disk / "run", "images/*/*.png")
    assert 0 < kept < 18
    subprocess.run(["mount", "-o", "remount,size=8m", str(tiny_disk)], check=True)
    done = bench(*SFT, "--out", tiny_disk / "run", home=home)
    assert done.returncode == 0, done.stderr
    assert contents(tiny_disk / "run") == contents(finished)


def test_json_is_one_document_with_every_figure(home: Path, copied: Path) -> None:
    document = bench_json(*SFT, "--out", copied, home=home)
    assert document["run"] == str(copied)
    assert (document["method"], document["backbone"]) == ("sft-base", "mini")
    assert (document["suite"], document["protocol"]) == ("mini@1", "headline@1")
    assert document["n_images"] == 18
    assert set(document["metrics"]) == {"dino", "clip_i", "clip_t"}
    for figures in document["metrics"].values():
        assert figures["ci95"][0] <= figures["mean"] <= figures["ci95"][1]
        assert figures["n"] == 18
        assert figures["higher_is_better"] is True
    assert set(document["seconds"]) == {"train", "generate", "score"}


def test_two_runs_are_compared_over_the_same_cases(
    finished: Path, home: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    done = bench(*SFT, "--set", "steps=3", "--out", other, home=home)
    assert done.returncode == 0, done.stderr
    document = bench_json("compare", other, finished, "--metric", "dino", home=home)
    assert document["dino"]["n_subjects"] == 3
    low, high = document["dino"]["ci95"]
    assert low <= document["dino"]["difference"] <= high
    assert 0 <= document["dino"]["p"] <= 1


def test_photographs_are_run_from_training_to_a_row_that_says_mini_weights(
    tmp_path: Path,
) -> None:
    photographs = Path(__file__).parents[1] / "../shared/data/dreambench/dataset"
    if not photographs.is_dir():
        pytest.skip("DreamBench's photographs are not here")
    assert bench("data", "add", "dreambench", photographs, home=tmp_path).returncode == 0
    few = ("--limit-subjects", "3", "--seeds", "1", "--backbone", "mini", *QUICK_PAIRS, *QUICK)
    out = tmp_path / "run"
    document = bench_json(
        "run", "--method", "sfo", "--suite", "dreambench", *few, "--out", out, home=tmp_path
    )
    assert document["n_images"] == 75
    assert document["protocol"] == "mini@1"
    assert document["mini_weights"] is True
    row = json.loads((out / "row.json").read_text())
    assert row["mini_weights"] is True
    assert row["limited"] is True
    assert row["metrics"]["dino"]["encoder"] == "mini-dino"
