"""Numbers about sets for halves of the subjects, from features that are kept: nothing is encoded.

Which images and photographs count is what scoring says, so that all of them come to a run's number.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isclose
from typing import TYPE_CHECKING, cast

import numpy as np

from bench.api import WHOLE_SET, Progress, SetMetric, silent
from bench.board import outdated
from bench.counterparts import find_counterparts, wants_vanilla
from bench.errors import UserError
from bench.features import FeatureStore
from bench.gallery import Gallery, Picture, identity_of
from bench.judges import SetJudge
from bench.observe import Observed
from bench.plan import make_cases
from bench.protocols import Protocol, load_protocol
from bench.recomputed import scored_images
from bench.results import Measured
from bench.score import judges, select
from bench.sitting import Answer, Sitting, place_of
from bench.stats import halves
from bench.suites import Suite, load_suite
from bench.verify import TOLERANCE

if TYPE_CHECKING:
    from PIL.Image import Image

    from bench.api import Embeddings, Labels


@dataclass(frozen=True)
class Halved:
    """A metric about sets that keeps half of the groups at a time where others leave out one."""

    metric: SetMetric
    progress: Progress = silent
    title: str = "Halves"

    def score(self, generated: "Embeddings", real: "Embeddings") -> float:
        return self.metric.score(generated, real)

    def leave_out(
        self,
        generated: "Embeddings",
        real: "Embeddings",
        groups: "Labels",
        real_groups: "Labels",
    ) -> dict[str, float]:
        """The number for each of ``bench.stats.halves``, of groups in the order of their names."""
        names, told = np.unique(groups), {}
        drawn = halves(len(names))
        for number, half in enumerate(drawn):
            kept, kept_real = (np.isin(side, names[half]) for side in (groups, real_groups))
            told[str(number)] = self.metric.score(generated[kept], real[kept_real])
            self.progress(self.title, number + 1, len(drawn))
        return told


def differences(
    a: Measured,
    b: Measured,
    metric: str,
    store: FeatureStore | None = None,
    progress: Progress = silent,
) -> list[float]:
    """A - B of a metric about sets for each of ``bench.stats.halves`` of the subjects.

    Both answer the same ones. UserError where features of either are not kept on this machine,
    naming the command that keeps them, and where rows do not say which images were scored.
    """
    one, other = (_of_halves(run, metric, store or FeatureStore(), progress) for run in (a, b))
    return [one[half] - other[half] for half in one]


def _of_halves(
    run: Measured, metric: str, store: FeatureStore, progress: Progress
) -> dict[str, float]:
    """The number for each half."""
    for problem in outdated(run):
        raise UserError(f"{problem}.")
    suite = load_suite(run.result.suite)
    used = _protocol(suite, run, metric)
    sitting = _sitting(suite, used, run, metric)
    [judge] = (judge for judge in judges(used) if isinstance(judge, SetJudge))
    observed = Observed(store)
    if not all(_recalled(judge, sitting, observed)):
        raise _not_kept(run, _asked(run, metric))
    halved = Halved(judge.metric, progress, f"{metric}, {run.folder.name}")
    # Rows ask nothing of a metric but its numbers.
    halving = replace(judge, metric=cast(SetMetric, halved))
    told = {row.subject: row.value for row in halving.rows(sitting, observed)}
    whole, stored = told.pop(WHOLE_SET), run.result.metrics[metric].mean
    if not isclose(whole, stored, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise UserError(
            f"The features that are kept of {run.folder} come to a {metric} of {whole:.6g} instead "
            f"of {stored:.6g}: score its images again."
        )
    return told


def _protocol(suite: Suite, run: Measured, metric: str) -> Protocol:
    """The run's own with this metric alone."""
    own = load_protocol(suite, run.result.protocol)
    return select(own, [_asked(run, metric)], run.result.metrics[metric].precision)


def _asked(run: Measured, metric: str) -> str:
    """What ``bench score`` calls a metric, which a protocol may have under a name of its own."""
    told = run.result.metrics[metric]
    own = load_protocol(load_suite(run.result.suite), run.result.protocol)
    if metric in {spec.key for spec in own.metrics}:
        return metric
    region = "" if told.region == "whole" else f"/{told.region}"
    return f"{metric.partition('.')[0]}:{told.encoder}{region}"


def _sitting(suite: Suite, used: Protocol, run: Measured, metric: str) -> Sitting:
    """The run's images, known by their digests alone."""
    if wants_vanilla(used):
        raise UserError(
            f"{metric} of {run.folder} is held against images without the subject, which no row "
            "names: compare it without --halves."
        )
    scored = scored_images(run)
    nouns = {subject.directory: subject.class_noun for subject in suite.subjects}
    cases = make_cases(suite, used, suite.subjects, run.result.n_seeds)
    answered = [case for case in cases if place_of(case) in scored]
    answers = [
        Answer(case, Picture(scored[place_of(case)], _unseen, nouns[case.subject]))
        for case in answered
    ]
    counterparts = find_counterparts(suite, used, answered)
    sitting = Sitting(answers, Gallery(suite), used, counterparts)
    if identity_of(sitting.pictures) != scored[WHOLE_SET, -1, -1]:
        raise UserError(
            f"The rows of {run.folder} do not name the images that {metric} is about: score them "
            "again with a metric of images beside it, such as dino."
        )
    return sitting


def _unseen() -> "Image":
    raise AssertionError("what is kept has been looked at")


def _recalled(judge: SetJudge, sitting: Sitting, observed: Observed) -> Iterator[bool]:
    """Whether each picture's features are kept."""
    for pictures in (sitting.pictures, sitting.opposite(judge.spec.against)):
        keys = list(map(judge.view.key, pictures))
        observed.recall(judge.view.recipe, keys)
        yield from (not observed.lacks(judge.view.recipe, key) for key in keys)


def _not_kept(run: Measured, asked: str) -> UserError:
    told = run.result
    place = run.folder if (run.folder / "images").is_dir() else "DIR"
    partial = " --allow-partial" * told.limited
    return UserError(
        f"The features of {run.folder} that {asked} looks at are not kept here: compute them with "
        f"'bench score --images {place} --suite {told.suite} --protocol {told.protocol} "
        f"--metrics {asked}{partial}'."
    )
