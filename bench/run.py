"""Runs: train, generate, score, in folders that killed runs go on from.

A folder holds manifest.json, checkpoints/, images/, rows.parquet, row.json and log.jsonl. All but
the log follow from the specification: a resumed run ends with the bytes of an undisturbed one, and
so does one that many workers shared.
"""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import store
from bench.api import Progress, rows_identity, silent
from bench.counterparts import find_counterparts
from bench.drawing import has_all
from bench.executors import Executor, Pool
from bench.executors.local import Here
from bench.features import FeatureStore
from bench.gallery import Gallery
from bench.made import MANIFEST, shown_by_method
from bench.meter import Meter
from bench.pieces import Job, Kind, Piece, Seen, Span, Stated, drawing_spans, subject_spans
from bench.places import Place, place_of
from bench.plan import Plan, Specification
from bench.results import (
    RESULT_FILE,
    ROWS_FILE,
    Environment,
    RunResult,
    read_measured,
    write_result,
    write_rows,
)
from bench.run_folder import LOG, RunFolder, stage_in
from bench.score import aggregates, score
from bench.sitting import Sitting
from bench.stamp import stamp
from bench.worker import Worker

HERE = Here()
NOTHING = Span("", 0, 0)
LEDGER, SHARDS = f"images/{store.LEDGER}", f"images/{store.SHARDS}/"


@dataclass(frozen=True)
class Order:
    """A run that somebody asks for: a plan, where it goes, and what protocols may want beside.

    ``out`` is a folder or an address of one; None for the usual folder. ``vanilla`` holds images of
    the same cases without the subject.
    """

    plan: Plan
    out: Path | str | None = None
    vanilla: Path | None = None


def execute(
    plan: Plan,
    out: Path | str | None = None,
    progress: Progress = silent,
    vanilla: Path | None = None,
    executor: Executor = HERE,
) -> tuple[Path, RunResult]:
    """Do what is left of a plan; returns the run's folder and its result.

    Everything that can be missing (data, weights) is looked for before anything long begins.
    """
    [done] = execute_all([Order(plan, out, vanilla)], progress, executor)
    return done


def execute_all(
    orders: Sequence[Order], progress: Progress = silent, executor: Executor = HERE
) -> list[tuple[Path, RunResult]]:
    """Do what is left of several plans; what is finished of any of them is kept whatever happens.

    One worker does a run after the other, so that it loads a backbone once; several share all
    trainings first and all the drawing then.
    """
    jobs = [Job(order.plan, order.vanilla) for order in orders]
    with executor.open(jobs) as pool:
        workshop = Workshop(jobs, orders, pool, progress)
        together = [range(len(jobs))] if pool.workers > 1 else [[job] for job in range(len(jobs))]
        return [done for group in together for done in workshop.carry_out(group)]


def assist(plan: Plan, out: Path | str | None, vanilla: Path | None = None) -> None:
    """What every process of ``accelerate launch`` but the first does: its share of the training."""
    worker = Worker([Job(plan, vanilla)])
    stated = worker.do(Piece("specify", 0, stamp()))
    assert isinstance(stated, Stated)
    folder = place_of(out or default_folder(plan, stated.specification)).folder
    if not has_all(RunFolder(folder).images, plan.cases):
        worker.assist(0, folder)


def default_folder(plan: Plan, specification: Specification) -> Path:
    """``runs/<suite>/<method>-<backbone>-<identity>`` under the working directory."""
    name = f"{plan.method}-{plan.backbone}-{specification.identity[:12]}"
    return Path("runs") / plan.suite.key / name


@dataclass(frozen=True)
class Commission:
    """A job whose specification and folder are known."""

    number: int
    job: Job
    stated: Stated
    place: Place
    folder: RunFolder

    @property
    def plan(self) -> Plan:
        return self.job.plan

    @property
    def drawn(self) -> bool:
        return has_all(self.folder.images, self.plan.cases)

    def piece(self, kind: Kind, span: Span = NOTHING) -> Piece:
        cases = self.plan.cases[span.start : span.stop]
        digests = self.folder.images.digests
        return Piece(
            kind,
            self.number,
            stamp(),
            self.stated.specification.identity,
            self.place.url,
            span.name,
            span.start,
            span.stop,
            {case.file: digests[case.file] for case in cases if case.file in digests},
        )


class Workshop:
    """Has jobs done in pieces by a pool of workers."""

    def __init__(
        self, jobs: Sequence[Job], orders: Sequence[Order], pool: Pool, progress: Progress
    ) -> None:
        self._jobs, self._orders, self._pool, self._progress = jobs, orders, pool, progress

    def carry_out(self, numbers: Iterable[int]) -> list[tuple[Path, RunResult]]:
        """Train for all, draw all, look at all, and then say what each came to."""
        with ExitStack() as held:
            asked = [self._commission(number, held) for number in numbers]
            open_ = [one for one in asked if not (one.folder.scored and one.drawn)]
            undrawn = [one for one in open_ if not one.drawn]
            self._do([one.piece("train") for one in undrawn])
            self._do([piece for one in undrawn for piece in _drawing(one)])
            open_ = [_gathered(one) for one in open_]
            self._look(open_)
            for one in open_:
                _publish_result(one, self._progress)
            return [(one.place.folder, read_measured(one.place.folder).result) for one in asked]

    def _commission(self, number: int, held: ExitStack) -> Commission:
        job, order = self._jobs[number], self._orders[number]
        [stated] = self._do([Piece("specify", number, stamp())])
        assert isinstance(stated, Stated)
        place = place_of(order.out or default_folder(job.plan, stated.specification))
        held.enter_context(place.exclusive())
        place.fetch(MANIFEST, RESULT_FILE, ROWS_FILE, LOG, LEDGER, SHARDS)
        folder = RunFolder(place.folder)
        folder.claim(stated.specification)
        place.publish(place.folder / MANIFEST)
        folder.images.verify(everywhere=place.whole)
        return Commission(number, job, stated, place, folder)

    def _look(self, asked: Sequence[Commission]) -> None:
        """Have everything seen that is to be scored; images that are damaged are set aside."""
        pieces = [
            one.piece("look", span) for one in asked for span in subject_spans(one.plan.cases)
        ]
        store = FeatureStore()
        damaged: dict[int, list[str]] = {}
        for piece, seen in self._outcomes(pieces):
            assert isinstance(seen, Seen)
            for recipe, vectors in seen.vectors.items():
                store.put(recipe, vectors)
            if seen.damaged:
                damaged.setdefault(piece.job, []).extend(seen.damaged)
        for one in asked:
            if one.number in damaged:
                one.folder.images.set_aside(damaged[one.number])

    def _do(self, pieces: Sequence[Piece]) -> list[object]:
        return [outcome for _, outcome in self._outcomes(pieces)]

    def _outcomes(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, object]]:
        meter = Meter(self._progress, self._jobs, pieces)
        for piece, outcome in self._pool.do(pieces, meter.told):
            meter.finished(piece)
            yield piece, outcome


def _drawing(one: Commission) -> list[Piece]:
    """What is left to be drawn."""
    stated, cases = one.stated, one.plan.cases
    pieces = [one.piece("draw", s) for s in drawing_spans(cases, stated.scope, stated.batch)]
    return [piece for piece in pieces if len(piece.finished) < piece.stop - piece.start]


def _gathered(one: Commission) -> Commission:
    """With all that workers have drawn in one ledger, in the order of the plan."""
    one.place.fetch(SHARDS)
    folder = RunFolder(one.place.folder)
    folder.images.gather(case.file for case in one.plan.cases)
    one.place.publish(folder.images.ledger)
    return Commission(one.number, one.job, one.stated, one.place, folder)


def _publish_result(one: Commission, progress: Progress) -> None:
    """Rows and what they come to, from what was seen."""
    plan, folder, specification = one.plan, one.place.folder, one.stated.specification
    store = one.folder.images
    images = [(case, store.path(case.file), store.digests[case.file]) for case in plan.cases]
    with stage_in(folder, "score"):
        counterparts = find_counterparts(
            plan.suite, plan.protocol, plan.cases, one.job.vanilla, plan.backbone, progress
        )
        shown = shown_by_method(plan)
        sitting = Sitting.of_files(images, Gallery(plan.suite), plan.protocol, shown, counterparts)
        rows = score(sitting, progress)
        write_rows(rows, folder / ROWS_FILE)
    result = RunResult(
        identity=specification.identity,
        method=plan.method,
        method_revision=specification.method_revision,
        options={**specification.options, **specification.inputs},
        suite=plan.suite.key,
        suite_identity=plan.suite.identity,
        protocol=plan.protocol.key,
        protocol_identity=plan.protocol.identity,
        backbone=plan.backbone,
        backbone_digest=specification.backbone_digest,
        mini_weights=one.stated.mini,
        n_subjects=len(plan.subjects),
        n_prompts=len({case.prompt_index for case in plan.cases}),
        n_seeds=plan.seeds,
        limited=plan.limited,
        metrics=aggregates(rows, sitting),
        rows_identity=rows_identity(rows),
        environment=Environment.here(one.stated.device, one.stated.dtype),
        date=datetime.datetime.now(datetime.UTC).date(),
    )
    write_result(result, folder / RESULT_FILE)
    one.place.publish(folder / LOG, folder / ROWS_FILE, folder / RESULT_FILE)
