"""What a run that nothing happens to leaves, and the code at another place."""

import shutil
from pathlib import Path

import pytest

import bench
import bench.methods
import bench.metrics
from bench.paths import datasets_folder, leaderboards_folder
from tests.faults.lives import Life

NO_BYTECODE = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Life:
    life = Life(tmp_path_factory.mktemp("undisturbed"))
    life.finish()
    return life


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """All of this code at another place, laid out as when it is installed."""
    folder = tmp_path / "code"
    places = {
        "bench": Path(bench.__file__).parent,
        "bench/methods": Path(bench.methods.__file__).parent,
        "bench/metrics": Path(bench.metrics.__file__).parent,
        "bench/_data/datasets": datasets_folder(),
        "bench/_data/leaderboards": leaderboards_folder(),
    }
    for name, place in places.items():
        shutil.copytree(place, folder / name, ignore=NO_BYTECODE, dirs_exist_ok=True)
    return folder
