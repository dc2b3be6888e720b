"""What is done of runs, in which order, whoever does it: train, draw, look, and say the result."""

import datetime
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench import store
from bench.api import Progress, rows_identity
from bench.counterparts import find_counterparts
from bench.drawing import has_all
from bench.errors import UserError
from bench.executors import Pool
from bench.features import FeatureStore
from bench.gallery import Gallery
from bench.made import MANIFEST, shown_by_method
from bench.meter import Meter
from bench.pieces import Job, Kind, Outcome, Piece, Seen, Span, Stated, drawing_spans, subject_spans
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

LEDGER, SHARDS = f"images/{store.LEDGER}", f"images/{store.SHARDS}/"
NOTHING = Span("", 0, 0)
Done = tuple[Path, RunResult]
"""A run's folder on this machine, and what it came to."""


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

    @cached_property
    def drawn(self) -> bool:
        """When the folder was taken."""
        return has_all(self.folder.images, self.plan.cases)

    @cached_property
    def identity(self) -> str:
        """Of the specification, which is long where there are many subjects."""
        return self.stated.specification.identity

    @cached_property
    def address(self) -> str:
        """Of the run's folder, for workers wherever they are."""
        return str(self.place.folder.absolute()) if self.place.whole else self.place.url

    def piece(self, kind: Kind, span: Span = NOTHING) -> Piece:
        cases = self.plan.cases[span.start : span.stop]
        digests = self.folder.images.digests
        return Piece(
            kind,
            self.number,
            stamp(),
            self.identity,
            self.address,
            span.name,
            span.start,
            span.stop,
            {case.file: digests[case.file] for case in cases if case.file in digests},
        )


@dataclass
class Workshop:
    """Has jobs done in pieces by a pool of workers.

    A job that cannot be done as things are is left, and the others go on; ``failed`` says why.
    """

    jobs: Sequence[Job]
    pool: Pool
    progress: Progress
    failed: dict[int, UserError] = field(default_factory=dict, init=False)

    def carry_out(self, numbers: Sequence[int]) -> Mapping[int, Done]:
        """Train for all, draw all, look at all, and then say what each came to."""
        with ExitStack() as held:
            asked = self._commissions(numbers, held)
            left = [one for one in asked if not (one.folder.scored and one.drawn)]
            undrawn = [one for one in left if not one.drawn]
            self._train(undrawn)
            self._draw(self._going(undrawn))
            self._look(gathered := [_gathered(one) for one in self._going(left)])
            for one in self._going(gathered):
                with self._noting(one.number):
                    _publish_result(one, self.progress)
            return {one.number: _read(one) for one in self._going(asked)}

    def _commissions(self, numbers: Sequence[int], held: ExitStack) -> list[Commission]:
        """Jobs whose folders were taken, until ``held`` is left."""
        asked = []
        pieces = [Piece("specify", number, stamp()) for number in numbers]
        outcomes = self._outcomes(pieces, dict.fromkeys(numbers, 0))
        for piece, stated in sorted(outcomes, key=lambda told: told[0].job):
            assert isinstance(stated, Stated)
            with self._noting(piece.job):
                asked.append(_taken(piece.job, self.jobs[piece.job], stated, held))
        return asked

    def _train(self, asked: Sequence[Commission]) -> None:
        pieces = (one.piece("train") for one in asked)
        self._do(pieces, {one.number: 0 for one in asked})

    def _draw(self, asked: Sequence[Commission]) -> None:
        """Have everything drawn that is left, of which each piece is made when it is given out."""
        left = {one.number: _left(one) for one in asked}
        pieces = (one.piece("draw", span) for one in asked for span in left[one.number])
        images = {number: sum(s.stop - s.start for s in spans) for number, spans in left.items()}
        self._do(pieces, images)

    def _look(self, asked: Sequence[Commission]) -> None:
        """Have everything seen that is to be scored; images that are damaged are set aside."""
        pieces = (
            one.piece("look", span) for one in asked for span in subject_spans(one.plan.cases)
        )
        images = {one.number: len(one.plan.cases) for one in asked}
        features, damaged = FeatureStore(), dict[int, list[str]]()
        for piece, seen in self._outcomes(pieces, images):
            assert isinstance(seen, Seen)
            for recipe, vectors in seen.vectors.items():
                features.put(recipe, vectors)
            if seen.damaged:
                damaged.setdefault(piece.job, []).extend(seen.damaged)
        for one in asked:
            if one.number in damaged:
                with self._noting(one.number):
                    _set_aside(one, damaged[one.number])

    def _do(self, pieces: Iterable[Piece], images: Mapping[int, int]) -> None:
        """Pieces that come to nothing but files."""
        deque(self._outcomes(pieces, images), maxlen=0)

    def _outcomes(
        self, pieces: Iterable[Piece], images: Mapping[int, int]
    ) -> Iterator[tuple[Piece, Outcome]]:
        """What pieces come to that are about so many images of each job."""
        meter = Meter(self.progress, self.jobs, images)
        for piece, outcome in self.pool.do(pieces, meter.told):
            meter.finished(piece)
            if isinstance(outcome, UserError):
                with self._noting(piece.job):
                    raise outcome
            else:
                yield piece, outcome

    def _going(self, asked: Iterable[Commission]) -> list[Commission]:
        return [one for one in asked if one.number not in self.failed]

    @contextmanager
    def _noting(self, number: int) -> Iterator[None]:
        """What the user can mend ends a run that is alone, and is noted of one among others."""
        try:
            yield
        except UserError as error:
            if len(self.jobs) == 1:
                raise
            self.failed.setdefault(number, error)


def default_folder(plan: Plan, specification: Specification, root: str) -> str:
    """``<root>/<suite>/<method>-<backbone>-<identity>``."""
    name = f"{plan.method}-{plan.backbone}-{specification.identity[:12]}"
    return f"{root.rstrip('/')}/{plan.suite.key}/{name}"


def _taken(number: int, job: Job, stated: Stated, held: ExitStack) -> Commission:
    place = place_of(job.out or default_folder(job.plan, stated.specification, job.root))
    held.enter_context(place.exclusive())
    place.fetch(MANIFEST, RESULT_FILE, ROWS_FILE, LOG, LEDGER, SHARDS)
    folder = RunFolder(place.folder)
    folder.claim(stated.specification)
    place.publish(place.folder / MANIFEST)
    folder.images.verify(everywhere=place.whole)
    return Commission(number, job, stated, place, folder)


def _read(one: Commission) -> Done:
    return one.place.folder, read_measured(one.place.folder).result


def _left(one: Commission) -> list[Span]:
    """What is left to be drawn."""
    images, cases = one.folder.images, one.plan.cases
    spans = drawing_spans(cases, one.stated.scope, one.stated.batch)
    return [span for span in spans if not has_all(images, cases[span.start : span.stop])]


def _gathered(one: Commission) -> Commission:
    """With all that workers have drawn in one ledger, in the order of the plan."""
    one.place.fetch(SHARDS)
    folder = one.folder if one.drawn else RunFolder(one.place.folder)
    folder.tidy()
    folder.images.gather(case.file for case in one.plan.cases)
    _publish_ledger(one)
    return Commission(one.number, one.job, one.stated, one.place, folder)


def _set_aside(one: Commission, damaged: Sequence[str]) -> None:
    """UserError as ``ImageStore.set_aside`` says it, also for whoever goes on elsewhere."""
    try:
        one.folder.images.set_aside(damaged)
    finally:
        _publish_ledger(one)


def _publish_ledger(one: Commission) -> None:
    """The one ledger, and then nothing of the shards that it was made of."""
    one.place.publish(one.folder.images.ledger)
    one.place.discard(SHARDS)


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
