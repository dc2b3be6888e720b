"""A training on several processes is the training of one; they share its micro-steps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from bench.errors import UserError
from bench.plan import Request, make_plan
from bench.processes import Processes, processes
from bench.results import read_measured
from bench.run import assist, execute
from tests.commands import environment, refusal_here
from tests.methods.side_by_side import Parted


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What trainings in one and in two processes left behind."""
    folder = tmp_path_factory.mktemp("side-by-side")
    command = [sys.executable, "-m", "tests.methods.side_by_side", str(folder)]
    subprocess.run(command, check=True, env=environment(folder / "home"), timeout=300)
    return folder


def log(folder: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads((folder / "log.json").read_text())
    return told


def weights(folder: Path, rank: int) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(folder / f"weights-{rank}.pt", weights_only=True)
    return loaded


@given(st.lists(st.integers()), st.integers(1, 5))
def test_work_is_shared_out_without_rest(work: list[int], count: int) -> None:
    shares = [Processes(rank, count).share(work) for rank in range(count)]
    assert sorted(item for share in shares for item in share) == sorted(work)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_process_by_itself_waits_for_nobody() -> None:
    done: list[str] = []
    assert processes() == Processes(0, 1)
    Processes().once(lambda: done.append("work"))
    assert done == ["work"] and Processes().gather("own") == ["own"]


def test_sfo_on_two_processes_has_the_losses_of_one(root: Path) -> None:
    one, two = (
        [event for event in log(root / f"sfo-{count}") if event["event"] == "train sfo"]
        for count in (1, 2)
    )
    assert [event["step"] for event in one] == [event["step"] for event in two] == [1, 4]
    assert one[0]["loss"] != pytest.approx(one[1]["loss"], abs=1e-3)
    for alone, together in zip(one, two, strict=True):
        assert alone == pytest.approx(together, abs=1e-5)


def test_sfo_on_two_processes_ends_with_the_adapter_of_one(root: Path) -> None:
    one, two = (load_file(root / f"sfo-{count}" / "sfo.safetensors") for count in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)


def test_an_odd_number_of_micro_steps_is_shared_too(root: Path) -> None:
    one, two = (log(root / f"parted-{count}") for count in (1, 2))
    assert [event["index"] for event in one] == [1.0, 19.0]
    for alone, together in zip(one, two, strict=True):
        assert alone == pytest.approx(together, abs=1e-5)


def test_what_no_loss_depends_on_stays_and_what_only_one_process_sees_is_trained(
    root: Path,
) -> None:
    one, two = (weights(root / f"parted-{count}", 0) for count in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=0, atol=1e-5)
    fresh = Parted().state_dict()
    assert torch.equal(two["idle.weight"], fresh["idle.weight"])
    assert not torch.equal(two["rare.weight"], fresh["rare.weight"])


def test_all_processes_have_the_same_weights(root: Path) -> None:
    for name, value in weights(root / "parted-2", 0).items():
        assert torch.equal(weights(root / "parted-2", 1)[name], value)


def test_killed_and_resumed_on_two_processes_it_ends_with_the_same_weights(root: Path) -> None:
    for name, value in weights(root / "parted-2", 0).items():
        assert torch.equal(weights(root / "resumed-2", 0)[name], value)
    assert log(root / "resumed-2")[0]["step"] == 7


def test_bench_run_on_two_processes_trains_together_and_answers_once(root: Path) -> None:
    one, two = (root / f"benched-{count}" / "run" for count in (1, 2))
    events = [
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (one, two)
    ]
    alone, together = (
        [event["loss"] for event in log if event["event"] == "train sfo"] for log in events
    )
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(alone)) == 2
    assert len(read_measured(two).rows) == len(read_measured(one).rows) > 0
    stages = [event["stage"] for event in events[1] if event["event"] == "stage"]
    assert stages == ["train", "generate", "score"]


def test_a_training_per_subject_is_one_processes_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.worker.processes", lambda: Processes(1, 2))
    plan = make_plan(Request(method="rpo", suite="mini"))
    for go in (execute, assist):
        with pytest.raises(UserError, match="run it without accelerate launch"):
            go(plan, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_processes_that_share_a_training_start_no_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    run = ("run", "--method", "sfo", "--suite", "mini", "--workers", "2")
    assert "leave out --workers" in refusal_here(*run, home=tmp_path)
