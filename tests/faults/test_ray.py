"""A Ray cluster of two nodes that loses drivers, workers and a node; skipped without Ray."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.commands import environment, sentence_of
from tests.faults.lives import Life, count, soon, until

pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


@dataclass(frozen=True)
class Nodes:
    """A head without room for workers, and nodes with room for one each."""

    cluster: Any
    home: Path

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--executor", "ray", "--address", self.cluster.address, "--workers", "2")

    def add(self) -> Any:
        with patch.dict(os.environ, environment(self.home)):
            return self.cluster.add_node(**NODE)

    def workers(self) -> list[int]:
        raylets = {
            each.process.pid
            for node in self.cluster.list_all_nodes()
            for each in node.all_processes.get("raylet", [])
        }
        return [
            process
            for process, parent in _parents()
            if parent in raylets and "RayWorker" in _title(process)
        ]


def _parents() -> Iterator[tuple[int, int]]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (
                int(process.name),
                int((process / "stat").read_text().rpartition(")")[2].split()[1]),
            )


def _title(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    home = tmp_path_factory.mktemp("cluster") / "home"
    with patch.dict(os.environ, environment(home)):
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            **{k: v for k, v in NODE.items() if k != "num_cpus"},
        }
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    there = Nodes(cluster, home)
    there.add()
    there.add()
    cluster.wait_for_nodes()
    yield there
    cluster.shutdown()


@pytest.fixture
def life(nodes: Nodes, tmp_path: Path) -> Life:
    """A run whose workers keep nothing of what others trained."""
    shutil.rmtree(nodes.home, ignore_errors=True)
    nodes.home.mkdir()
    (tmp_path / "home").symlink_to(nodes.home)
    return Life(tmp_path)


def test_a_run_on_ray_outlives_its_driver_and_a_worker(
    nodes: Nodes, life: Life, undisturbed: Life
) -> None:
    driver = life.begin(*nodes.arguments)
    until(lambda: count(life.out, "checkpoints/*/*.safetensors"), driver)
    os.kill(driver.pid, signal.SIGKILL)
    life.end(driver)
    assert soon(lambda: not nodes.workers(), within=10)
    again = life.begin(*nodes.arguments)
    until(lambda: len(nodes.workers()) == 2, again)
    os.kill(nodes.workers()[0], signal.SIGKILL)
    done = life.end(again)
    assert done.returncode == 0, done.stderr
    assert life.contents() == undisturbed.contents()


def test_a_run_on_ray_outlives_a_node(nodes: Nodes, life: Life, undisturbed: Life) -> None:
    lost = nodes.add()
    run = life.begin(*nodes.arguments)
    until(lambda: len(nodes.workers()) == 2, run)
    nodes.cluster.remove_node(lost, allow_graceful=False)
    done = life.end(run)
    assert done.returncode == 0, done.stderr
    assert life.contents() == undisturbed.contents()


def test_ctrl_c_ends_a_run_on_ray(nodes: Nodes, life: Life) -> None:
    run = life.begin(*nodes.arguments)
    until(lambda: (life.out / "manifest.json").exists(), run)
    os.killpg(run.pid, signal.SIGINT)
    done = life.end(run, timeout=30)
    assert done.returncode == 130, done.stderr
    assert "run the same command to go on" in done.stderr
    assert soon(lambda: not nodes.workers(), within=10)


def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    run = Life(tmp_path).begin("--executor", "ray", "--address", "127.0.0.1:9")
    sentence = sentence_of(Life(tmp_path).end(run, timeout=60))
    assert "There is no Ray cluster at 127.0.0.1:9" in sentence


def test_workers_of_other_code_are_refused(nodes: Nodes, code: Path, tmp_path: Path) -> None:
    with (code / "bench/names.py").open("a") as source:
        source.write("# it does the same\n")
    life = Life(tmp_path, variables={"PYTHONPATH": str(code)})
    sentence = life.refusal(*nodes.arguments)
    assert "has subjectbench " in sentence and "the run was started with" in sentence
