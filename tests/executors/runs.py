"""Two small runs, one of a method that trains per subject, done by whoever is to be looked at."""

from pathlib import Path

from bench.errors import UserError
from bench.executors import Executor
from bench.pieces import Job
from bench.plan import Request, make_plan
from bench.run import execute_all

SHARED = Request(method="text-only", suite="mini", limit_subjects=6, options={"steps": "2"})
PER_SUBJECT = Request(
    method="dreambooth",
    suite="mini",
    limit_subjects=2,
    options={"iterations": "2", "steps": "2", "prior": "0"},
)
KEPT = ("*.png", "*.safetensors", "*.parquet", "images.jsonl", "manifest.json")
"""What follows from the specification alone."""


def made_by(executor: Executor, root: Path) -> dict[str, bytes]:
    """Files of both runs, by their place below ``root``."""
    jobs = [Job(make_plan(asked), root=str(root)) for asked in (SHARED, PER_SUBJECT)]
    for done in execute_all(jobs, executor=executor):
        assert not isinstance(done, UserError), done
    files = [path for pattern in KEPT for path in root.rglob(pattern)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
