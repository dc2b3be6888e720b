"""A small study, made once and copied for every test that changes it."""

import shutil
from pathlib import Path

import pytest

from tests.study.studies import write_study


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def study(template: Path, tmp_path: Path) -> Path:
    """Red images of A against blue ones of B: 6 pairs, 3 for each rater, and a catch trial."""
    shutil.copy(template, tmp_path / "study.db")
    return tmp_path / "study.db"
