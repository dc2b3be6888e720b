"""A sample of a row's images is scored anew, with nothing remembered, and held to its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isclose
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bench.api import Case, Precision, Progress, Row, silent
from bench.board import outdated
from bench.counterparts import find_counterparts
from bench.errors import UserError
from bench.features import FeatureStore
from bench.folder import check, index
from bench.gallery import Gallery
from bench.made import images_of, shown_by
from bench.plan import make_cases
from bench.protocols import MetricSpec, Protocol, load_protocol
from bench.recomputed import scored_images
from bench.results import Measured, read_measured
from bench.score import aggregates, score
from bench.sitting import Drawn, Sitting, place_of
from bench.suites import Suite, load_suite

TOLERANCE = 1e-4
"""How far two devices' numbers may lie apart, absolutely or of the number."""


@dataclass(frozen=True)
class Deviation:
    """How far a metric's new numbers lie from the row's: at most, and in how many of ``n``."""

    largest: float
    beyond: int
    n: int


@dataclass(frozen=True)
class Verified:
    """What scoring a sample anew came to."""

    images: int
    of: int
    deviations: dict[str, Deviation]
    altered: tuple[str, ...]
    """Images that are missing or not those that were scored."""
    redefined: tuple[str, ...]
    """Metrics that are something else in this version, or with these weights."""
    left_out: tuple[str, ...]
    """Metrics that no sample tells: those of whole sets, and those that the protocol has not."""

    @property
    def complaints(self) -> list[str]:
        """What does not hold, in words."""
        images, first = len(self.altered), next(iter(self.altered), "")
        return [
            *([f"{images} images are missing or altered ({first} first)"] if images else []),
            *(f"{metric} is defined otherwise here" for metric in self.redefined),
            *(
                f"{told.beyond} of {told.n} numbers of {metric} lie up to {told.largest:.2g} apart"
                for metric, told in self.deviations.items()
                if told.beyond
            ),
        ]

    @property
    def ok(self) -> bool:
        """Whether all that was looked at holds."""
        return not self.complaints


def verify(
    row: Path,
    share: float,
    images: Path | None = None,
    vanilla: Path | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    progress: Progress = silent,
) -> Verified:
    """Score a ``share`` (0 to 1] of a row's images anew, all seeds of a prompt together.

    Which ones follows from the row's identity and ``seed``. ``images`` is the run's folder, where
    ``row`` is not that itself; ``vanilla`` as in ``bench score``. UserError for a share outside
    that range, for a row whose suite or protocol has changed, and for one without images.
    """
    if not 0 < share <= 1:
        raise UserError(f"A sample of {share} is none: give a share above 0 and at most 1.")
    told, source = read_measured(row), images or row
    for problem in outdated(told):
        raise UserError(f"{problem}.")
    if told.result.origin == "photographs":
        raise UserError(f"{row} is about the suite's photographs: score them again instead.")
    suite = load_suite(told.result.suite)
    protocol = load_protocol(suite, told.result.protocol)
    used = protocol.model_copy(update={"metrics": _specs(protocol, told)})
    cases = _sample(make_cases(suite, protocol, suite.subjects, protocol.seeds), told, share, seed)
    drawn = _drawn(source, cases, progress)
    sitting = _sitting(suite, used, source, drawn, vanilla, progress)
    with TemporaryDirectory() as scratch:
        rows = score(sitting, progress, FeatureStore(Path(scratch, "features.sqlite")))
    return _compared(told, rows, cases, drawn, sitting, tolerance)


def _specs(protocol: Protocol, told: Measured) -> tuple[MetricSpec, ...]:
    """The metrics of the row that are about images, at the row's precision."""
    precisions: dict[str, Precision] = {
        name: aggregate.precision
        for name, aggregate in told.result.metrics.items()
        if aggregate.kind != "set"
    }
    return tuple(
        spec.model_copy(update={"precision": precisions[spec.key]})
        for spec in protocol.metrics
        if spec.key in precisions
    )


def _sample(cases: Sequence[Case], told: Measured, share: float, seed: int) -> list[Case]:
    """Whole prompts, since some metrics hold an image against its siblings."""
    answered = {row.subject for row in told.rows}
    asked = sorted({(c.subject, c.prompt_index) for c in cases if c.subject in answered})
    random = Random(f"{told.result.identity}/{seed}")
    chosen = set(random.sample(asked, ceil(share * len(asked))))
    return [case for case in cases if (case.subject, case.prompt_index) in chosen]


def _drawn(source: Path, cases: Sequence[Case], progress: Progress) -> list[Drawn]:
    found = list(check(index(images_of(source), cases), progress).images)
    if not found:
        raise UserError(
            f"{source} holds none of the images that are to be scored: give the run's folder with "
            "--images."
        )
    return found


def _sitting(
    suite: Suite,
    used: Protocol,
    source: Path,
    drawn: Sequence[Drawn],
    vanilla: Path | None,
    progress: Progress,
) -> Sitting:
    answered = [case for case, _, _ in drawn]
    counterparts = find_counterparts(suite, used, answered, vanilla, progress=progress)
    return Sitting.of_files(drawn, Gallery(suite), used, shown_by(source, suite), counterparts)


def _compared(
    told: Measured,
    rows: Sequence[Row],
    cases: Sequence[Case],
    drawn: Sequence[Drawn],
    sitting: Sitting,
    tolerance: float,
) -> Verified:
    scored = scored_images(told)
    digests = {case.file: digest for case, _, digest in drawn}
    now = aggregates(rows, sitting)
    known = told.result.metrics
    return Verified(
        images=len(drawn),
        of=next(iter(known.values())).n,
        deviations={name: _deviation(told, rows, name, tolerance) for name in now},
        altered=tuple(
            case.file for case in cases if digests.get(case.file) != scored.get(place_of(case))
        ),
        redefined=tuple(name for name in now if now[name].definition != known[name].definition),
        left_out=tuple(name for name in known if name not in now),
    )


def _deviation(told: Measured, rows: Sequence[Row], metric: str, tolerance: float) -> Deviation:
    before = told.values(metric)
    pairs = [
        (row.value, before.get((row.subject, row.prompt_index, row.seed), float("inf")))
        for row in rows
        if row.metric == metric
    ]
    apart = [abs(new - old) for new, old in pairs]
    beyond = [not isclose(*pair, rel_tol=tolerance, abs_tol=tolerance) for pair in pairs]
    return Deviation(largest=max(apart), beyond=sum(beyond), n=len(pairs))
