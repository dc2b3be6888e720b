"""Runs that are shown together: read, held to be comparable, and named apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.api import Case
from bench.compare import difference
from bench.errors import UserError
from bench.made import IMAGES
from bench.names import names, settings
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.results import Aggregate, Measured, RunResult, read_measured
from bench.sitting import place_of
from bench.stats import Key, Paired
from bench.suites import Suite, load_suite


@dataclass(frozen=True)
class Entry:
    """A run under the name that tells it from the others."""

    label: str
    run: Measured

    @property
    def result(self) -> RunResult:
        return self.run.result

    @cached_property
    def values(self) -> dict[str, dict[Key, float]]:
        """Metric to the number of each image."""
        return {name: self.run.values(name) for name in self.result.metrics}

    @cached_property
    def digests(self) -> dict[Key, str]:
        """SHA-256 of each image that was scored."""
        return {
            (row.subject, row.prompt_index, row.seed): row.image_sha256
            for row in self.run.rows
            if row.prompt_index >= 0
        }

    def image(self, case: Case) -> Path:
        return self.run.folder / IMAGES / case.file


@dataclass(frozen=True)
class Together:
    """Runs that answer the same cases of one suite and have metrics in common."""

    suite: Suite
    cases: tuple[Case, ...]
    """Those that were answered, in the suite's order."""
    entries: tuple[Entry, ...]
    metrics: Mapping[str, Aggregate]
    """What all runs have, as the first run tells it."""
    differences: Mapping[str, Mapping[str, Paired]]
    """Label of every run but the first to how far it lies above the first, by metric."""

    @property
    def per_image(self) -> list[str]:
        """The metrics that say something of every image, not of the set."""
        return [name for name, told in self.metrics.items() if told.kind != "set"]

    @property
    def first(self) -> Entry:
        return self.entries[0]

    def head(self, metric: str) -> str:
        """A metric with an arrow towards what is better."""
        return head(metric, self.metrics[metric])


def head(metric: str, told: Aggregate) -> str:
    """A metric with an arrow towards what is better."""
    return f"{metric} {'↑' if told.higher_is_better else '↓'}"


def read_together(folders: Sequence[Path]) -> Together:
    """Finished runs with their images.

    UserError for a folder that is no finished run, has no images or comes twice, and for runs that
    share no metric of images, or differ in suite, protocol, a metric's definition or the cases.
    """
    runs = [_with_images(folder) for folder in folders]
    _demand_no_twins(runs)
    metrics = _shared(runs)
    named = names([settings(run.result) for run in runs])
    first, *others = (Entry(*pair) for pair in zip(named, runs, strict=True))
    above = {
        other.label: {name: difference(other.run, first.run, name) for name in metrics}
        for other in others
    }
    suite = _suite(first.run)
    cases = _answered(suite, first)
    return Together(suite, cases, (first, *others), metrics, above)


def _with_images(folder: Path) -> Measured:
    run = read_measured(folder)
    if not (folder / IMAGES).is_dir():
        raise UserError(
            f"{folder} has numbers but no folder {IMAGES}: give the folder that 'bench run' wrote."
        )
    return run


def _shared(runs: Sequence[Measured]) -> dict[str, Aggregate]:
    shared = {
        name: told
        for name, told in runs[0].result.metrics.items()
        if all(name in run.result.metrics for run in runs)
    }
    if all(told.kind == "set" for told in shared.values()):
        raise UserError(
            f"{', '.join(str(run.folder) for run in runs)} share no metric of single images, by "
            "which these could be ordered: run them under a protocol that has one."
        )
    return shared


def _demand_no_twins(runs: Sequence[Measured]) -> None:
    folders = [run.folder.resolve() for run in runs]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise UserError(f"{runs[place].folder} is given twice; name each run once.")


def _suite(run: Measured) -> Suite:
    suite = load_suite(run.result.suite)
    if suite.identity != run.result.suite_identity:
        raise UserError(
            f"{run.folder} was made on another content of {suite.key} than is installed; install "
            "the version of subjectbench that made it, or run it again."
        )
    return suite


def _answered(suite: Suite, entry: Entry) -> tuple[Case, ...]:
    protocol = load_protocol(suite, entry.result.protocol)
    cases = make_cases(suite, protocol, suite.subjects, entry.result.n_seeds)
    return tuple(case for case in cases if place_of(case) in entry.digests)
