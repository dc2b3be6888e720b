"""Runs: train, generate, score, in folders that killed runs go on from.

A folder holds manifest.json, checkpoints/, images/, rows.parquet, row.json and log.jsonl. All but
the log follow from the specification: a resumed run ends with the bytes of an undisturbed one, and
so does one that many workers shared.
"""

from collections.abc import Sequence
from pathlib import Path

from bench.api import Progress, silent
from bench.drawing import has_all
from bench.errors import UserError
from bench.executors import Executor
from bench.executors.local import Here
from bench.pieces import Job, Piece, Stated
from bench.places import place_of
from bench.plan import Plan
from bench.results import RunResult
from bench.run_folder import RunFolder
from bench.stamp import stamp
from bench.worker import Worker
from bench.workshop import Done, Workshop, default_folder

HERE = Here()


def execute(
    plan: Plan,
    out: Path | str | None = None,
    progress: Progress = silent,
    vanilla: Path | None = None,
    executor: Executor = HERE,
) -> tuple[Path, RunResult]:
    """Do what is left of a plan; returns the run's folder and its result.

    ``out`` is a folder or an address of one, None for the usual folder; ``vanilla`` holds images of
    the same cases without the subject, for protocols that want them. Everything that can be missing
    (data, weights) is looked for before anything long begins.
    """
    [done] = execute_all([Job(plan, vanilla, out)], progress, executor)
    assert not isinstance(done, UserError)  # raised where a job is alone
    return done


def execute_all(
    jobs: Sequence[Job], progress: Progress = silent, executor: Executor = HERE
) -> list[Done | UserError]:
    """Do what is left of several plans, or say of each why not; one that fails stops no other.

    One worker does a run after the other, so that it loads a backbone once; several share all
    trainings first and all the drawing then.
    """
    everything = range(len(jobs))
    with executor.open(jobs) as pool:
        workshop = Workshop(jobs, pool, progress)
        together = [everything] if pool.workers > 1 else [[number] for number in everything]
        done = {number: one for few in together for number, one in workshop.carry_out(few).items()}
    return [done.get(number) or workshop.failed[number] for number in everything]


def assist(plan: Plan, out: Path | str | None, vanilla: Path | None = None) -> None:
    """What every process of ``accelerate launch`` but the first does: its share of the training."""
    job = Job(plan, vanilla, out)
    worker = Worker([job])
    stated = worker.do(Piece("specify", 0, stamp()))
    assert isinstance(stated, Stated)
    folder = place_of(out or default_folder(plan, stated.specification, job.root)).folder
    if not has_all(RunFolder(folder).images, plan.cases):
        worker.assist(0, folder)
