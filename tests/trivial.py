"""Runs that need no weights, as everything around them is looked at."""

from bench.pieces import Job
from bench.plan import Request, make_plan


def job(subjects: int = 1, label: str = "") -> Job:
    """Noise in answer to six prompts for each of a few subjects."""
    return Job(
        make_plan(Request(method="noise", suite="mini", limit_subjects=subjects)), label=label
    )
