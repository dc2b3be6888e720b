"""Whether what a run's ``row.json`` says follows from its ``rows.parquet``."""

from math import isclose

from bench.api import WHOLE_SET, rows_identity
from bench.results import Measured, follow
from bench.stats import Estimate, Key


def contradictions(run: Measured) -> list[str]:
    """What ``row.json`` says that does not follow from ``rows.parquet``."""
    result = run.result
    problems = []
    if rows_identity(run.rows) != result.rows_identity:
        problems.append(f"{run.folder}: rows_identity is not that of the rows")
    if len({row.subject for row in run.rows} - {WHOLE_SET}) != result.n_subjects:
        problems.append(f"{run.folder}: n_subjects is not that of the rows")
    problems += [
        f"{run.folder}: {metric} does not follow from the rows"
        for metric, told in result.metrics.items()
        if not _follows(told, follow(run.rows, metric, told))
    ]
    return problems


def scored_images(run: Measured) -> dict[Key, str]:
    """The SHA-256 of each image that was scored, by subject, prompt index and seed."""
    return {(row.subject, row.prompt_index, row.seed): row.image_sha256 for row in run.rows}


def _follows(told: Estimate, computed: Estimate) -> bool:
    counts = (told.n, told.n_subjects) == (computed.n, computed.n_subjects)
    if not counts or not isclose(told.mean, computed.mean, rel_tol=1e-9, abs_tol=1e-12):
        return False
    if told.ci95 is None or computed.ci95 is None:
        return told.ci95 == computed.ci95
    # Libraries may change their random stream: the ends may move by a little of the width.
    slack = 0.05 * (computed.ci95[1] - computed.ci95[0]) + 1e-12
    return all(abs(a - b) <= slack for a, b in zip(told.ci95, computed.ci95, strict=True))
