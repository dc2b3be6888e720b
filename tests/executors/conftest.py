"""What one worker makes of the runs that others are asked for, too."""

from collections.abc import Callable

import pytest

from bench.executors import Executor
from bench.executors.local import Here
from tests.executors.runs import made_by

Make = Callable[[str, Executor], dict[str, bytes]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """``make(name, executor)``: both runs on a machine that keeps nothing of earlier work."""

    def made(name: str, executor: Executor) -> dict[str, bytes]:
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SUBJECTBENCH_HOME", str(folder / "home"))
            return made_by(executor, folder / "runs")

    return made


@pytest.fixture(scope="module")
def alone(make: Make) -> dict[str, bytes]:
    return make("alone", Here())
