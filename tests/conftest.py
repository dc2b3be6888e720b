"""Run folders with made-up numbers, on the real suite ``mini@1``."""

import datetime
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.api import Row, rows_identity
from bench.identity import identity
from bench.protocols import load_protocol
from bench.results import (
    RESULT_FILE,
    ROWS_FILE,
    Aggregate,
    Environment,
    RunResult,
    estimate,
    write_result,
    write_rows,
)
from bench.suites import load_suite

if "PYTEST_XDIST_WORKER" in os.environ:  # before anything imports torch: a core for each worker
    os.environ.setdefault("OMP_NUM_THREADS", "1")


LONG = {"executors", "faults", "places", "test_run.py"}
"""Tests that start many processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that no process is left alone with them in the end."""
    items.sort(key=lambda item: not LONG & {*item.path.parts})


ENVIRONMENT = Environment(
    subjectbench="0.1.0",
    python="3.11.7",
    platform="made up",
    device="cpu",
    dtype="float32",
    packages={"torch": "2.6"},
    git_revision=None,
)


def made_up_rows(name: str, level: float, noise: float, subjects: int, prompts: int) -> list[Row]:
    """Subjects differ alike in every run; ``level`` and ``noise`` are the run's own."""
    rows = []
    for subject in (f"subject-{number}" for number in range(subjects)):
        common = Random(subject).gauss(0, 0.1)
        for prompt in range(prompts):
            for metric in ("dino", "clip_t"):
                own = Random(f"{name}/{subject}/{prompt}/{metric}").gauss(0, noise)
                rows.append(
                    Row(
                        subject=subject,
                        prompt_index=prompt,
                        prompt=f"prompt {prompt}",
                        seed=0,
                        metric=metric,
                        value=level + common + own,
                        image_sha256=identity([name, subject, prompt]),
                    )
                )
    return rows


def made_up_result(name: str, rows: list[Row], definition: dict[str, Any]) -> RunResult:
    suite = load_suite("mini@1")
    protocol = load_protocol(suite)
    common = {
        "higher_is_better": True,
        "unit": "cosine",
        "metric_version": 1,
        "encoder": "mini-dino",
        "encoder_digest": identity("weights"),
        "references": "all",
        **definition,
    }
    return RunResult(
        identity=identity(name),
        method=name,
        method_revision=1,
        options={"beta": 1000},
        suite=suite.key,
        suite_identity=suite.identity,
        protocol=protocol.key,
        protocol_identity=protocol.identity,
        backbone="mini",
        backbone_digest=identity("backbone"),
        mini_weights=True,
        n_subjects=len({row.subject for row in rows}),
        n_prompts=len({row.prompt_index for row in rows}),
        n_seeds=1,
        limited=False,
        metrics={
            metric: Aggregate(**estimate(rows, metric).model_dump(), **common)
            for metric in ("dino", "clip_t")
        },
        rows_identity=rows_identity(rows),
        environment=ENVIRONMENT,
        date=datetime.date(2026, 1, 31),
    )


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """``make_run(name, level, noise, subjects, prompts, definition, **fields)``: a run folder.

    ``definition`` changes fields of every aggregate, ``fields`` those of the result.
    """

    def make(
        name: str,
        level: float = 0.5,
        noise: float = 0.01,
        subjects: int = 8,
        prompts: int = 3,
        definition: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Path:
        rows = made_up_rows(name, level, noise, subjects, prompts)
        result = made_up_result(name, rows, definition or {}).model_copy(update=fields)
        folder = tmp_path / "runs" / name
        write_rows(rows, folder / ROWS_FILE)
        write_result(result, folder / RESULT_FILE)
        return folder

    return make
