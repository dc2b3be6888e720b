"""A Ray cluster of two nodes that loses drivers, workers and a node; skipped without Ray."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import sentence_of
from tests.faults.clusters import Nodes, two_nodes
from tests.faults.lives import Life, count, soon, until

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with two_nodes(tmp_path_factory.mktemp("cluster") / "home") as there:
        yield there


@pytest.fixture
def life(nodes: Nodes, tmp_path: Path) -> Life:
    return nodes.life(tmp_path)


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
    nodes.lose(lost)
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
