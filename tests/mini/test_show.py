"""The sheet of several runs: what its columns are called."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.made import MANIFEST
from bench.mini.show import CELL, GAP, show
from tests.report.runs import write_run

RULES = ("cfg:3.0", "pg:scale=3.0,omega=0.0", "pg:scale=3.0,omega=0.6")
FIRST = 2
"""Columns before those of the runs: reference and truth."""


@pytest.fixture
def labels(tmp_path: Path) -> np.ndarray:
    """All that stands above the images of one method under three guidances, black on white."""
    runs = []
    for number, rule in enumerate(RULES):
        run = write_run(tmp_path / str(number), "dreambooth", options={"rule": rule})
        (run / MANIFEST).touch()
        runs.append(run)
    show(runs, tmp_path / "sheet.png", subjects=1)
    with Image.open(tmp_path / "sheet.png") as sheet:
        above = sheet.height - 3 * (CELL + GAP) - GAP
        return np.asarray(sheet.convert("L"))[:above]


def column(labels: np.ndarray, number: int) -> np.ndarray:
    left = GAP + number * (CELL + GAP)
    return labels[:, left : left + CELL]


def test_runs_of_one_method_have_labels_that_differ(labels: np.ndarray) -> None:
    seen = {column(labels, FIRST + number).tobytes() for number in range(len(RULES))}
    assert len(seen) == len(RULES)


def test_no_label_reaches_into_the_next_column(labels: np.ndarray) -> None:
    for number in range(FIRST + len(RULES)):
        assert column(labels, number).min() < 100, "a column without a label"
        left = number * (CELL + GAP)
        assert labels[:, left : left + GAP].min() > 200
