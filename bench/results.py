"""Results as data: a run's ``row.json`` and ``rows.parquet``, which a measured board row copies."""

import datetime
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from math import fsum, isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, JsonValue, ValidationError

from bench import __version__
from bench.api import WHOLE_SET, Average, Frozen, Precision, Region, Row
from bench.documents import JSON_BYTES, MALFORMED, text_of
from bench.errors import UserError
from bench.stats import Estimate, Key, aggregate, jackknife
from bench.store import write_atomically

RESULT_FILE = "row.json"
ROWS_FILE = "rows.parquet"
MEASURED = "measured"
"""The folder of a board's measured rows."""

NAME = r"^[a-z0-9][a-z0-9_.+-]*$"
Name = Annotated[str, Field(pattern=NAME)]
Versioned = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.+-]*@[0-9]+$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

SCHEMA = pa.schema(
    [
        ("subject", pa.string()),
        ("prompt_index", pa.int64()),
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("image_sha256", pa.string()),
    ]
)
TEXTS = [field.name for field in SCHEMA if pa.types.is_string(field.type)]
MOST_ROWS, MOST_BYTES, MOST_TEXT = 5_000_000, 1 << 30, 1 << 16
"""Of a run's rows: more is no run, and would fill the memory."""


class Aggregate(Estimate):
    """One metric over a whole run: the estimate and the definition it is meaningless without."""

    higher_is_better: bool
    unit: str
    metric_version: int
    encoder: Name | None
    """None for metrics on pixels."""
    encoder_digest: str | None
    references: str
    """Which of a subject's photographs count, in the protocol's words; "none" for text."""
    kind: Literal["image", "pair", "set"] = "image"
    """Whether the number is a mean over images, or one about all of them."""
    precision: Precision = "fp32"
    region: Region = "whole"
    average: Average = "images"
    n_real: int | None = None
    """For a number about a set: how many photographs the images are held against."""
    bias: str | None = None
    """For a number about a set: how the number of images moves it."""
    against: str = "references"
    """What the images are held against, in the protocol's words."""
    against_digest: str | None = None
    """Identity of those images' digests, where no suite states them."""

    @property
    def held_against(self) -> str:
        """What the images are held against, named so that equal names mean equal images."""
        if self.against == "references":
            return f"references {self.references}"
        return f"against {self.against} {(self.against_digest or '')[:12]}".rstrip()

    @property
    def definition(self) -> tuple[str, ...]:
        """What must be equal for two numbers of this metric to be comparable."""
        return (
            f"version {self.metric_version}",
            f"encoder {self.encoder or 'none'}",
            f"encoder digest {self.encoder_digest or 'none'}",
            self.held_against,
            f"precision {self.precision}",
            f"region {self.region}",
            f"average over {self.average}",
            *([f"n {self.n} and {self.n_real}"] if self.kind == "set" else []),
        )

    def citation(self, name: str, where: str | None = None) -> str:
        """The number in one line, with all that it means: what a paper should print."""
        interval = (
            "no interval" if self.ci95 is None else "95 % [{:.4f}, {:.4f}]".format(*self.ci95)
        )
        size = f"n = {self.n} images" + (f" against {self.n_real}" if self.n_real else "")
        told = [
            *([where] if where else []),
            f"encoder {self.encoder}" if self.encoder else "no encoder",
            *([self.held_against] if self.held_against != "references none" else []),
            *([f"region {self.region}"] if self.region != "whole" else []),
            *([f"precision {self.precision}"] if self.precision != "fp32" else []),
            *([f"mean over {self.average}"] if self.average != "images" else []),
            f"{size} of {self.n_subjects} subjects" if self.n_subjects > 1 else size,
            *([self.bias] if self.bias else []),
        ]
        return f"{name}@{self.metric_version} = {self.mean:.4f}, {interval} ({'; '.join(told)})"


class Environment(Frozen):
    """What a run was made with, for those who get other numbers."""

    subjectbench: str
    python: str
    platform: str
    device: str
    dtype: str
    packages: dict[str, str]
    """Versions of the declared dependencies that are installed."""
    git_revision: str | None
    """Of the checkout, with ``-dirty`` after it for local changes; None outside a checkout."""

    @classmethod
    def here(cls, device: str, dtype: str) -> Self:
        """This interpreter and machine; imports none of the packages it names."""
        return cls(
            subjectbench=__version__,
            python=platform.python_version(),
            platform=platform.platform(),
            device=device,
            dtype=dtype,
            packages=installed(),
            git_revision=_git_revision(Path(__file__).parents[1]),
        )


class RunResult(BaseModel):
    """What a run came to: ``row.json`` in its folder and, unchanged, a measured board row.

    Not a ``Frozen``: its identity is that of the run's specification, not of these fields.
    """

    model_config = Frozen.model_config

    schema_version: Literal[1] = 1
    kind: Literal["measured"] = "measured"
    identity: Digest
    """Hash of the run's frozen specification; the key on the board."""
    method: Name
    method_revision: int
    options: dict[str, JsonValue]
    suite: Versioned
    suite_identity: Digest
    protocol: Versioned
    protocol_identity: Digest
    backbone: Name
    backbone_digest: str
    mini_weights: bool
    """Whether backbone or encoders are the mini world's: comparable inside it only."""
    n_subjects: int = Field(ge=1)
    n_prompts: int = Field(ge=1)
    """Prompts per subject."""
    n_seeds: int = Field(ge=1)
    """Images per prompt."""
    limited: bool
    """Fewer subjects, seeds or images than the protocol asks for: never ranked with full runs."""
    origin: Literal["run", "images", "photographs"] = "run"
    """Whether the images were made here, were brought, or are the suite's own photographs."""
    metrics: dict[Name, Aggregate] = Field(min_length=1)
    """In the protocol's order; the first one ranks."""
    rows_identity: Digest
    """``bench.api.rows_identity`` of the rows that ``metrics`` follow from."""
    environment: Environment
    date: datetime.date

    @property
    def citations(self) -> list[str]:
        """Every metric's number in one line with all that it means."""
        where = f"{self.suite}, protocol {self.protocol}"
        partial = ", partial" if self.limited else ""
        mini = ", mini weights" if self.mini_weights else ""
        return [
            told.citation(name, f"{where}{partial}{mini}") for name, told in self.metrics.items()
        ]

    @property
    def folder_name(self) -> str:
        """What this row's folder on a board is called."""
        protocol = self.protocol.partition("@")[0]
        made = f"{self.method}-{self.backbone}" if self.origin == "run" else self.method
        return f"{made}-{protocol}-{self.identity[:12]}"


@dataclass(frozen=True)
class Measured:
    """A run folder or a board row, read."""

    folder: Path
    result: RunResult
    rows: tuple[Row, ...]

    def values(self, metric: str) -> dict[Key, float]:
        """The metric's number for each (subject, prompt, seed)."""
        rows = (row for row in self.rows if row.metric == metric)
        return {(row.subject, row.prompt_index, row.seed): row.value for row in rows}


def read_measured(folder: Path) -> Measured:
    """A finished run or a board row.

    UserError when one of its two files is absent or unreadable, or they name different metrics.
    """
    for name in (RESULT_FILE, ROWS_FILE):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} has no {name}: give the folder of a finished run, "
                "or finish it by the same 'bench run' with '--out' set to it."
            )
    result = read_result(folder / RESULT_FILE)
    rows = tuple(read_rows(folder / ROWS_FILE))
    scored = {row.metric for row in rows}
    if scored != set(result.metrics):
        raise UserError(
            f"{folder}: {RESULT_FILE} tells of {', '.join(sorted(result.metrics))} but {ROWS_FILE} "
            f"of {', '.join(sorted(scored)) or 'nothing'}; score the run again."
        )
    return Measured(folder, result, rows)


def estimate(rows: Iterable[Row], metric: str, average: Average = "images") -> Estimate:
    """The aggregate of one metric over images, from rows alone. ValueError without rows of it."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.metric == metric:
            values.setdefault(row.subject, []).append(row.value)
    if average == "images":
        return aggregate(values)
    images = sum(map(len, values.values()))
    means = {subject: [fsum(numbers) / len(numbers)] for subject, numbers in values.items()}
    return aggregate(means).model_copy(update={"n": images})


def estimate_set(rows: Iterable[Row], metric: str, n: int) -> Estimate:
    """The number of a set of ``n`` images and its interval, from rows alone.

    ValueError without rows of it.
    """
    values = {row.subject: row.value for row in rows if row.metric == metric}
    if WHOLE_SET not in values:
        raise ValueError(f"there is no row of {metric} about the whole set")
    whole = values.pop(WHOLE_SET)
    interval = jackknife(whole, [values[subject] for subject in sorted(values)])
    return Estimate(mean=whole, ci95=interval, n=n, n_subjects=max(1, len(values)))


def follow(rows: Iterable[Row], metric: str, told: Aggregate) -> Estimate:
    """What the rows say of a metric that somebody has told about."""
    if told.kind == "set":
        return estimate_set(rows, metric, told.n)
    return estimate(rows, metric, told.average)


def write_result(result: RunResult, path: Path) -> None:
    """Write ``row.json``, whole or not at all."""
    write_atomically(path, result.model_dump_json(indent=2) + "\n")


def read_result(path: Path) -> RunResult:
    """Read ``row.json``. UserError naming the first field that is wrong."""
    try:
        return RunResult.model_validate_json(text_of(path, JSON_BYTES))
    except ValidationError as error:
        raise UserError(f"{path} is no result of a run: {_first(error)}.") from error
    except MALFORMED as error:
        raise UserError(f"{path} cannot be read: {error}; make the run again.") from error


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write rows sorted, the same bytes for the same rows, whole or not at all.

    UserError for values that are not finite and for two values of one metric on one image.
    """
    listed = _checked(sorted(rows, key=_order), path)
    table = pa.Table.from_pylist([row.model_dump() for row in listed], schema=SCHEMA)
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    write_atomically(path, buffer.getvalue().to_pybytes())


def read_rows(path: Path) -> list[Row]:
    """Read rows, sorted. UserError when the file is unreadable or holds anything but rows."""
    try:
        with pq.ParquetFile(path) as file:
            _demand_rows(file, path)
        with pq.ParquetFile(path, read_dictionary=TEXTS) as file:
            rows = [Row(**record) for batch in file.iter_batches() for record in _records(batch)]
    except ValidationError as error:
        raise UserError(f"{path} holds a bad row: {_first(error)}; score it again.") from error
    except (*MALFORMED, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet; score the run again.") from error
    return _checked(sorted(rows, key=_order), path)


def _demand_rows(file: pq.ParquetFile, path: Path) -> None:
    """UserError for other columns than those of rows, and for far more than a run has."""
    names = file.schema_arrow.names
    if sorted(names) != sorted(SCHEMA.names):
        raise UserError(
            f"{path} holds the columns {', '.join(names)} instead of {', '.join(SCHEMA.names)}; "
            "score the run again."
        )
    told = file.metadata
    volume = sum(told.row_group(k).total_byte_size for k in range(told.num_row_groups))
    if told.num_rows > MOST_ROWS or volume > MOST_BYTES:
        raise UserError(
            f"{path} holds {told.num_rows} rows of {volume >> 20} MB, more than any run has; name "
            "the folder of a run."
        )


def _records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Few bytes may stand for a long text in every row. ValueError for those."""
    for name in TEXTS:
        column = batch.column(name)
        if isinstance(column, pa.DictionaryArray):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > MOST_TEXT:
                raise ValueError(f"a {name} of {longest} bytes")
    records: list[dict[str, Any]] = batch.to_pylist()
    return records


def _order(row: Row) -> tuple[str, int, int, str]:
    return row.subject, row.prompt_index, row.seed, row.metric


def _checked(rows: list[Row], path: Path) -> list[Row]:
    """Rows of ``path`` in order, each finite and the only one of its metric on its image."""
    before = None
    for row in rows:
        where = f"{row.metric} of {row.subject}, prompt {row.prompt_index}, seed {row.seed}"
        if not isfinite(row.value):
            raise UserError(f"{path}: {where} is {row.value}; a score must be finite.")
        if _order(row) == before:
            raise UserError(f"{path}: {where} stands twice; score the run again.")
        before = _order(row)
    return rows


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"


def installed() -> dict[str, str]:
    """Versions of the declared dependencies that are here."""
    try:
        required = requires("subjectbench") or []
    except PackageNotFoundError:
        return {}
    core = (line for line in required if "extra ==" not in line)
    names = sorted({match[0] for line in core if (match := re.match(r"[\w.-]+", line))})
    versions = {name: _version(name) for name in names}
    return {name: number for name, number in versions.items() if number is not None}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_revision(root: Path) -> str | None:
    # Without this test a package inside someone else's repository would report that one.
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        told = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
