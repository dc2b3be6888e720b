"""Features are kept under recipe and digest, bit for bit, for every process that asks."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.errors import UserError
from bench.features import AT_ONCE, FeatureStore

WRITER = """
import sys
from pathlib import Path
import numpy as np
from bench.features import FeatureStore
store, first = FeatureStore(Path(sys.argv[1])), int(sys.argv[2])
for number in range(first, first + 40):
    store.put("recipe", {str(number): np.full(8, number, np.float32)})
"""


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features.sqlite")


@settings(max_examples=30, deadline=None)
@given(
    vector=st.one_of(
        arrays.arrays(np.float32, st.integers(0, 9), elements=st.floats(width=32)),
        arrays.arrays(np.uint8, arrays.array_shapes(max_dims=2)),
    )
)
def test_an_array_comes_back_bit_for_bit(
    vector: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = FeatureStore(tmp_path_factory.mktemp("store") / "features.sqlite")
    store.put("recipe", {"digest": vector})
    found = store.get("recipe", ["digest"])["digest"]
    assert (found.dtype, found.shape) == (vector.dtype, vector.shape)
    assert found.tobytes() == vector.tobytes()


def test_what_is_not_there_is_not_found(store: FeatureStore) -> None:
    store.put("recipe", {"a": np.ones(3)})
    assert list(store.get("recipe", ["a", "b"])) == ["a"]
    assert store.get("another recipe", ["a"]) == {}


def test_the_first_answer_stays(store: FeatureStore) -> None:
    store.put("recipe", {"a": np.zeros(2)})
    store.put("recipe", {"a": np.ones(2), "b": np.ones(2)})
    assert store.get("recipe", ["a"])["a"].tolist() == [0, 0]
    assert store.get("recipe", ["b"])["b"].tolist() == [1, 1]


def test_more_digests_than_one_query_takes(store: FeatureStore) -> None:
    vectors = {str(number): np.array([number]) for number in range(2 * AT_ONCE + 1)}
    store.put("recipe", vectors)
    assert store.get("recipe", vectors) == vectors


def test_processes_write_to_one_store_at_once(store: FeatureStore) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), str(first)])
        for first in (0, 20, 40)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    found = store.get("recipe", map(str, range(100)))
    assert {key: vector.tolist() for key, vector in found.items()} == {
        str(number): [number] * 8 for number in range(80)
    }


def test_a_store_that_another_process_makes_just_now_is_waited_for(store: FeatureStore) -> None:
    store.put("recipe", {"a": np.zeros(2)})
    maker = sqlite3.connect(store.path, isolation_level=None)
    maker.execute("PRAGMA journal_mode=DELETE")
    maker.execute("BEGIN IMMEDIATE")
    assert list(store.get("recipe", ["a"])) == ["a"]
    with ThreadPoolExecutor(1) as threads:
        putting = threads.submit(store.put, "recipe", {"b": np.ones(2)})
        assert not wait([putting], timeout=0.2).done
        maker.execute("COMMIT")
        putting.result(timeout=60)
    maker.close()
    assert list(store.get("recipe", ["a", "b"])) == ["a", "b"]


def test_a_damaged_file_is_named_and_may_be_deleted(store: FeatureStore) -> None:
    store.path.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"features\.sqlite cannot be used .* delete it"):
        store.get("recipe", ["a"])
    store.path.unlink()
    assert store.get("recipe", ["a"]) == {}
