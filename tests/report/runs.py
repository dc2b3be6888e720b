"""Run folders with images of a few pixels and made-up numbers, on suites of the mini world."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from bench.api import Case, Row
from bench.made import IMAGES
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.results import RESULT_FILE, ROWS_FILE, write_result, write_rows
from bench.sitting import place_of
from bench.store import ImageStore
from bench.suites import load_suite
from tests.conftest import made_up_result

TEXT = {"references": "none"}
"""What a metric of the prompt counts of the photographs."""


def cases_of(suite: str, subjects: int, seeds: int = 1) -> tuple[Case, ...]:
    known = load_suite(suite)
    return make_cases(known, load_protocol(known), known.subjects[:subjects], seeds)


def write_run(
    folder: Path,
    method: str,
    level: float = 0.5,
    subjects: int = 2,
    suite: str = "mini@1",
    side: int = 4,
    seeds: int = 1,
    **fields: Any,
) -> Path:
    """A finished run in which no two images, and no two numbers, are equal."""
    cases = cases_of(suite, subjects, seeds)
    store = ImageStore(folder / IMAGES)
    store.put_all({case.file: _image(folder.name, case, side) for case in cases})
    rows = _rows(folder.name, cases, level, store)
    known = load_suite(suite)
    result = made_up_result(method, rows, {})
    metrics = {
        "dino": result.metrics["dino"],
        "clip_t": result.metrics["clip_t"].model_copy(update=TEXT),
    }
    told = {
        "suite": known.key,
        "suite_identity": known.identity,
        "protocol_identity": load_protocol(known).identity,
        "n_seeds": seeds,
        "metrics": metrics,
        "options": {"beta": 1000},
        **fields,
    }
    write_rows(rows, folder / ROWS_FILE)
    write_result(result.model_copy(update=told), folder / RESULT_FILE)
    return folder


def _image(name: str, case: Case, side: int) -> Image.Image:
    noise = Random(f"{name}/{case.file}").randbytes(side * side * 3)
    return Image.frombytes("RGB", (side, side), noise)


def _rows(name: str, cases: Sequence[Case], level: float, store: ImageStore) -> list[Row]:
    return [
        Row(
            subject=case.subject,
            prompt_index=case.prompt_index,
            prompt=case.prompt,
            seed=case.seed,
            metric=metric,
            value=level + Random(f"{name}/{place_of(case)}/{metric}").gauss(0, 0.05),
            image_sha256=store.digests[case.file],
        )
        for case in cases
        for metric in ("dino", "clip_t")
    ]
