"""Finished runs of the mini world that dry runs find, and plans beside them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from bench.plan import Plan, Request, make_plan
from tests.commands import here

FEW = {"iterations": "1", "steps": "2"}
OWN = {"dreambooth": {**FEW, "prior": "0"}, "sfo": {**FEW, "negatives": "4"}}
"""Options of the runs: quick ones, of which nothing is claimed."""


def plan_of(method: str, **changes: str) -> Plan:
    """The plan of a run of two subjects, or one that differs from it."""
    guidance = changes.pop("guidance", None)
    options = {**OWN.get(method, {}), **changes}
    return make_plan(
        Request(method=method, suite="mini", options=options, guidance=guidance, limit_subjects=2)
    )


def make_runs(folder: Path) -> None:
    """One of each, with their home, below a folder."""
    for method, options in OWN.items():
        given = [word for item in options.items() for word in ("--set", "=".join(item))]
        asked = ("run", "--method", method, "--suite", "mini", "--limit-subjects", "2", *given)
        done = here(*asked, home=folder / "home", cwd=folder)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never to be written to."""
    folder = tmp_path_factory.mktemp("finished")
    make_runs(folder)
    return folder


@pytest.fixture
def world(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished runs and their home, where this process works."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    with at_home(tmp_path):
        yield tmp_path


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """Work in a folder with a home of its own."""
    with chdir(folder), patch.dict(os.environ, {"SUBJECTBENCH_HOME": str(folder / "home")}):
        yield


def run_of(world: Path, method: str) -> Path:
    """The folder of a finished run, as it is told."""
    [folder] = (world / "runs" / "mini@1").glob(f"{method}-*")
    return folder.relative_to(world)


def contents(folder: Path) -> dict[str, int]:
    """Every file below a folder, and when it was written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}
