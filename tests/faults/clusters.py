"""A Ray cluster on this machine, whose nodes and workers can be lost."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.commands import environment
from tests.faults.lives import Life

MEMORY = 100_000_000


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
            return self.cluster.add_node(num_cpus=1, object_store_memory=MEMORY)

    def lose(self, node: Any) -> None:
        """All its processes at once."""
        self.cluster.remove_node(node, allow_graceful=False)

    def replace(self) -> None:
        """Lose a node, not the head, and have another one."""
        _, *rest = self.cluster.list_all_nodes()
        self.lose(rest[0])
        self.add()

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

    def life(self, folder: Path) -> Life:
        """A run whose workers keep nothing of what others trained."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        (folder / "home").symlink_to(self.home)
        return Life(folder)


@contextmanager
def two_nodes(home: Path) -> Iterator[Nodes]:
    """Gone with all that runs on it when the context is left."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
    with patch.dict(os.environ, environment(home)):
        cluster: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = Nodes(cluster, home)
        nodes.add()
        nodes.add()
        cluster.wait_for_nodes()
        yield nodes
    finally:
        cluster.shutdown()


def _parents() -> Iterator[tuple[int, int]]:
    """Every process and the one that started it."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            told = (process / "stat").read_text().rpartition(")")[2].split()
            yield int(process.name), int(told[1])


def _title(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text()
    return ""
