"""What a check expects: which runs, how far their numbers may move, what lies above what."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, FiniteFloat, ValidationError

from bench.api import Frozen
from bench.documents import MALFORMED, toml_of
from bench.errors import UserError
from bench.papers import Recipe
from bench.paths import leaderboards_folder
from bench.results import Aggregate, Name
from bench.suites import Suite

CHECK_FILE = "check.toml"
"""What a board says that is to be checked on its suite."""
COSINE, TOLERANCE = "cosine", 0.001
"""How far a metric of cosines may move where nothing is said. SFO trained with another processor's
instructions moved no subject's mean on mini by a twentieth of it, and methods differ by more."""

Distance = Annotated[FiniteFloat, Field(ge=0)]


class Ordering(Frozen):
    """That one run's mean lies above another's on the same questions.

    A side is the name of a run, or a method; one that is not run is read from its row. ``higher``
    and ``lower`` are about the number, whichever direction is better.
    """

    metric: str
    higher: Name
    lower: Name
    by: Distance = 0
    """By at least this much."""

    @property
    def words(self) -> str:
        """The ordering in one line."""
        least = f" by at least {self.by:g}" if self.by else ""
        return f"{self.higher} > {self.lower} in {self.metric}{least}"


class Expected(Frozen):
    """What is run, how far its numbers may move, and which of them lie above which."""

    methods: tuple[Name, ...] = ()
    """Run as they are without any option."""
    runs: dict[Name, Recipe] = Field(default_factory=dict)
    """Run with options, by a name of their own."""
    tolerances: dict[str, Distance] = Field(default_factory=dict)
    """Metric to the largest difference of means that is no finding."""
    orderings: tuple[Ordering, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every run."""
        return tuple(dict.fromkeys([*self.methods, *self.runs]))

    def recipe(self, name: str) -> Recipe:
        """How a run of this name is made."""
        return self.runs.get(name) or Recipe(method=name)

    def tolerance(self, metric: str, told: Aggregate) -> float:
        """How far a metric's mean may move. UserError for one of another unit and not stated."""
        if metric not in self.tolerances and told.unit != COSINE:
            raise UserError(
                f"Nothing says how far {metric} may move: state it under [tolerances] in the file "
                "given as --file."
            )
        return self.tolerances.get(metric, TOLERANCE)


def read_expected(path: Path) -> Expected:
    """A check file. UserError naming the file and the place that is wrong."""
    try:
        return Expected.model_validate(toml_of(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The check {path} is wrong at '{where}': {first['msg']}.") from error
    except MALFORMED as error:
        raise UserError(f"The check {path} cannot be read: {error}.") from error


def expected_of(suite: Suite) -> Expected:
    """What the suite's board says; nothing where it says nothing."""
    path = board_of(suite) / CHECK_FILE
    return read_expected(path) if path.is_file() else Expected()


def board_of(suite: Suite) -> Path:
    """Where the suite's board lies."""
    return leaderboards_folder().joinpath(*suite.key.split("@"))
