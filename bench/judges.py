"""Judges: a metric with the network and region it looks through, and what it says of a sitting."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from bench.api import WHOLE_SET, ImageMetric, PairMetric, Row, Scored, SetMetric
from bench.errors import UserError
from bench.gallery import Picture, identity_of
from bench.observe import Observed, Pair
from bench.protocols import Against, MetricSpec
from bench.results import Aggregate, estimate, estimate_set
from bench.sitting import Answer, Sitting
from bench.stats import Estimate
from bench.views import Comparison, View

Side = Literal["images"] | Against
"""The answers, or what they may be held against."""


class Judge(Protocol):
    """A metric of a protocol, ready to use."""

    @property
    def spec(self) -> MetricSpec: ...

    @property
    def looks_at_photographs(self) -> bool:
        """Whether it says of one image alone how like photographs it is."""
        ...

    def views(self, of: Side) -> list[View]:
        """What has to have seen every picture of a side before it can judge."""
        ...

    def pairs(self, sitting: Sitting) -> Mapping[Comparison, Sequence[Pair]]:
        """What has to have been compared, an image first."""
        ...

    def texts(self, sitting: Sitting) -> Mapping[View, set[str]]:
        """What has to have been read."""
        ...

    def rows(self, sitting: Sitting, observed: Observed) -> Iterator[Row]: ...

    def aggregate(self, sitting: Sitting, rows: Sequence[Row]) -> Aggregate:
        """The number, with its definition, from rows. ValueError when none are this judge's."""
        ...


@dataclass(frozen=True)
class ImageJudge:
    """One number per image from features."""

    spec: MetricSpec
    metric: ImageMetric
    view: View

    @property
    def reads(self) -> bool:
        """Whether it holds images against their prompt, not against photographs."""
        return self.metric.text("") is not None

    @property
    def looks_at_photographs(self) -> bool:
        return not self.reads and self.spec.against == "references"

    def views(self, of: Side) -> list[View]:
        # The gallery is of photographs, whatever it is held against.
        seen = {"images"} if self.reads else {"images", "references", self.spec.against}
        return [self.view] if of in seen else []

    def pairs(self, sitting: Sitting) -> Mapping[Comparison, Sequence[Pair]]:
        return {}

    def texts(self, sitting: Sitting) -> Mapping[View, set[str]]:
        return {self.view: {self._text(a) for a in sitting.answers}} if self.reads else {}

    def rows(self, sitting: Sitting, observed: Observed) -> Iterator[Row]:
        for answer in sitting.answers:
            item = (
                self._read(answer, observed)
                if self.reads
                else self._seen(sitting, answer, observed)
            )
            with _explained(self.spec, f" for {answer.case.file}"):
                value = self.metric.score(item)
            yield answer.row(self.spec.key, value)

    def aggregate(self, sitting: Sitting, rows: Sequence[Row]) -> Aggregate:
        average = sitting.protocol.average
        told = estimate(rows, self.spec.key, average)
        if self.reads:
            return _aggregate(self, told, references="none", average=average)
        return _aggregate(self, told, **_opposite(self.spec, sitting), average=average)

    def _text(self, answer: Answer) -> str:
        case = answer.case
        return self.metric.text(case.prompt if case.text is None else case.text) or ""

    def _read(self, answer: Answer, observed: Observed) -> Scored:
        nothing = np.zeros((0, 0), np.float32)
        return Scored(
            image=observed.features(self.view, answer.picture),
            references=nothing,
            gallery=nothing,
            text=observed.text(self.view, self._text(answer)),
        )

    def _seen(self, sitting: Sitting, answer: Answer, observed: Observed) -> Scored:
        gallery = list(sitting.photographs(answer.case.subject).values())
        return Scored(
            image=observed.features(self.view, answer.picture),
            references=observed.stack(self.view, sitting.held_against(self.spec, answer)),
            gallery=observed.stack(self.view, gallery),
            text=None,
            found=observed.found(self.view, answer.picture),
        )


@dataclass(frozen=True)
class PairJudge:
    """One number per image: its mean distance to others."""

    spec: MetricSpec
    metric: PairMetric
    comparison: Comparison

    @property
    def looks_at_photographs(self) -> bool:
        return self.metric.others == "references" and self.spec.against == "references"

    def views(self, of: Side) -> list[View]:
        return []

    def pairs(self, sitting: Sitting) -> Mapping[Comparison, Sequence[Pair]]:
        answers = sitting.answers
        return {
            self.comparison: [(a.picture, o) for a in answers for o in self._others(sitting, a)]
        }

    def texts(self, sitting: Sitting) -> Mapping[View, set[str]]:
        return {}

    def rows(self, sitting: Sitting, observed: Observed) -> Iterator[Row]:
        for answer in sitting.answers:
            others = self._others(sitting, answer)
            told = [observed.distance(self.comparison, answer.picture, other) for other in others]
            yield answer.row(self.spec.key, float(np.mean(told)))

    def aggregate(self, sitting: Sitting, rows: Sequence[Row]) -> Aggregate:
        average = sitting.protocol.average
        told = estimate(rows, self.spec.key, average)
        if self.metric.others == "siblings":
            return _aggregate(self, told, references="siblings", average=average)
        return _aggregate(self, told, **_opposite(self.spec, sitting), average=average)

    def _others(self, sitting: Sitting, answer: Answer) -> list[Picture]:
        if self.metric.others == "references":
            return sitting.held_against(self.spec, answer)
        others = sitting.siblings(answer)
        if not others:
            raise UserError(
                f"'{self.spec.key}' compares the images of one prompt, and {answer.case.subject} "
                f"has only one for prompt {answer.case.prompt_index}; leave this metric out."
            )
        return others


@dataclass(frozen=True)
class SetJudge:
    """One number for all images, and one without each subject to tell how sure it is."""

    spec: MetricSpec
    metric: SetMetric
    view: View
    looks_at_photographs: ClassVar[bool] = False

    def views(self, of: Side) -> list[View]:
        return [self.view] if of in ("images", self.spec.against) else []

    def pairs(self, sitting: Sitting) -> Mapping[Comparison, Sequence[Pair]]:
        return {}

    def texts(self, sitting: Sitting) -> Mapping[View, set[str]]:
        return {}

    def rows(self, sitting: Sitting, observed: Observed) -> Iterator[Row]:
        generated = observed.stack(self.view, sitting.pictures)
        groups = np.array([answer.case.subject for answer in sitting.answers])
        counted = self._real(sitting)
        real = observed.stack(self.view, [picture for _, picture in counted])
        real_groups = np.array([subject for subject, _ in counted])
        with _explained(self.spec):
            whole = self.metric.score(generated, real)
            without = self.metric.leave_out(generated, real, groups, real_groups)
        digest = identity_of(sitting.pictures)
        for subject, value in {WHOLE_SET: whole, **without}.items():
            yield _set_row(self.spec.key, subject, value, digest)

    def aggregate(self, sitting: Sitting, rows: Sequence[Row]) -> Aggregate:
        told = estimate_set(rows, self.spec.key, len(sitting.answers))
        return _aggregate(
            self,
            told,
            **_opposite(self.spec, sitting),
            n_real=len(self._real(sitting)),
            bias=self.metric.bias,
        )

    def _real(self, sitting: Sitting) -> list[tuple[str, Picture]]:
        """The distinct photographs that count, or every counterpart, with their subjects."""
        counted = [
            (answer.case.subject, picture)
            for answer in sitting.answers
            for picture in sitting.counted(self.spec, answer.case)
        ]
        return list(dict.fromkeys(counted)) if self.spec.against == "references" else counted


@contextmanager
def _explained(spec: MetricSpec, where: str = "") -> Iterator[None]:
    """What a metric cannot do with what it was given is the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise UserError(
            f"'{spec.key}' cannot be computed{where}: {error}; leave it out with --metrics, or "
            "bring what it needs."
        ) from error


def _opposite(spec: MetricSpec, sitting: Sitting) -> dict[str, str]:
    """What images are held against, and which ones where no suite states them."""
    if spec.against == "references":
        return {"references": spec.references}
    told = {"references": "none", "against": spec.against}
    if spec.against == "vanilla":
        told["against_digest"] = identity_of(sitting.opposite("vanilla"))
    return told


def _set_row(metric: str, subject: str, value: float, digest: str) -> Row:
    return Row(
        subject=subject,
        prompt_index=-1,
        prompt="",
        seed=-1,
        metric=metric,
        value=value,
        image_sha256=digest,
    )


def _aggregate(
    judge: ImageJudge | PairJudge | SetJudge, told: Estimate, **stated: Any
) -> Aggregate:
    network = judge.comparison.network if isinstance(judge, PairJudge) else judge.view.network
    return Aggregate(
        **told.model_dump(),
        higher_is_better=judge.metric.higher_is_better,
        unit=judge.metric.unit,
        metric_version=judge.metric.version,
        encoder=judge.spec.encoder,
        encoder_digest=network.digest,
        kind=judge.metric.kind,
        precision=judge.spec.precision,
        region=judge.spec.region,
        **stated,
    )
