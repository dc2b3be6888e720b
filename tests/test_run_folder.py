"""A run's folder tells what it holds, whatever its log has been through."""

from pathlib import Path

import pytest

from bench.run_folder import LOG, RunFolder, log_to, stage_in


def test_stages_are_added_up_over_every_time_that_they_ran(tmp_path: Path) -> None:
    for _ in range(2):
        with stage_in(tmp_path, "train"):
            pass
    log_to(tmp_path, {"event": "stage", "stage": "train", "seconds": 2.5})
    assert RunFolder(tmp_path).seconds() == {"train": 2.5, "generate": 0.0, "score": 0.0}


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "stage", "stage": "train", "sec',
        b'{"event": "stage", "stage": "train"}',
        b'{"event": "stage", "stage": "train", "seconds": "long"}',
        b'{"event": "stage", "stage": ["train"], "seconds": 1}',
        b'{"event": "stage", "stage": "other", "seconds": 1}',
        b'{"event": "note", "stage": "train", "seconds": 1}',
        b"\xff[]",
        b"[" * 100_000,
    ],
)
def test_a_line_that_a_kill_or_a_stranger_left_tells_nothing(tmp_path: Path, line: bytes) -> None:
    log_to(tmp_path, {"event": "stage", "stage": "score", "seconds": 1.0})
    with (tmp_path / LOG).open("ab") as log:
        log.write(line + b"\n")
    assert RunFolder(tmp_path).seconds() == {"train": 0.0, "generate": 0.0, "score": 1.0}


def test_no_secret_reaches_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_notReallyASecretButShapedSo")
    log_to(tmp_path, {"event": "note", "words": "401 for hf_notReallyASecretButShapedSo"})
    assert "notReally" not in (tmp_path / LOG).read_text()
