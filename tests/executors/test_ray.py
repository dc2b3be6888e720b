"""Workers on a Ray cluster of two nodes make the bytes of one process."""

from collections.abc import Iterator
from typing import Any

import pytest

from bench.errors import UserError
from bench.executors.ray import Cluster
from tests.executors.conftest import Make
from tests.trivial import job

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of two nodes with a processor each, so that no node has room for both workers."""
    from ray.cluster_utils import Cluster as Nodes

    nodes: Any = Nodes(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes.address
    nodes.shutdown()


def test_workers_on_two_nodes_make_the_bytes_of_one_process(
    make: Make, alone: dict[str, bytes], address: str
) -> None:
    assert make("cluster", Cluster(address)) == alone


def test_workers_that_want_more_than_the_cluster_has_are_refused(address: str) -> None:
    with (
        pytest.raises(UserError, match="The cluster has 0 GPUs and a worker wants 1"),
        Cluster(address, per_worker=1.0).open([job()]),
    ):
        pass


def test_an_address_where_no_cluster_is_is_named() -> None:
    with (
        pytest.raises(UserError, match=r"There is no Ray cluster at 127\.0\.0\.1:1 .*ray start"),
        Cluster("127.0.0.1:1").open([job()]),
    ):
        pass
