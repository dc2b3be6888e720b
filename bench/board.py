"""Leaderboards: rows that are copied in, checked against their own numbers, and ranked.

A board is ``<suite>/<version>/`` with ``measured/<run>/`` (``row.json`` and ``rows.parquet``) and
a ``README.md`` that follows from them byte by byte. Reproduced tables lie beside them.
"""

from collections.abc import Iterator
from math import isclose
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from rich.table import Table

from bench.api import WHOLE_SET, rows_identity
from bench.errors import UserError
from bench.outcomes import outcomes_of, problems_of, write_page
from bench.protocols import load_protocol
from bench.results import (
    MEASURED,
    RESULT_FILE,
    ROWS_FILE,
    Measured,
    RunResult,
    follow,
    read_measured,
)
from bench.standings import as_table, markdown, sections
from bench.stats import Estimate
from bench.store import write_atomically
from bench.suites import load_suite

README = "README.md"


def place(result: RunResult) -> Path:
    """Where a measured row lies, relative to the leaderboards."""
    return Path(*result.suite.split("@"), MEASURED, result.folder_name)


def add_row(run_folder: Path, leaderboards: Path, allow_limited: bool = False) -> Path:
    """Copy a finished run's result and rows to its board; the same run replaces itself.

    UserError when the folder holds no finished run, when its numbers do not follow from its rows,
    and for a limited run unless ``allow_limited``.
    """
    run = read_measured(run_folder)
    if run.result.limited and not allow_limited:
        raise UserError(
            f"{run_folder} has fewer subjects or seeds than {run.result.protocol} asks for and "
            "cannot be ranked; run the whole suite, or allow limited runs."
        )
    for problem in contradictions(run):
        raise UserError(f"{problem}; score the run again.")
    target = leaderboards / place(run.result)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        for name in (RESULT_FILE, ROWS_FILE):
            copyfile(run_folder / name, new / name)
        if target.exists():
            target.rename(Path(scratch, "old"))
        new.rename(target)
    return target


def contradictions(run: Measured) -> list[str]:
    """What ``row.json`` says that does not follow from ``rows.parquet``."""
    result = run.result
    problems = []
    if rows_identity(run.rows) != result.rows_identity:
        problems.append(f"{run.folder}: rows_identity is not that of the rows")
    if len({row.subject for row in run.rows} - {WHOLE_SET}) != result.n_subjects:
        problems.append(f"{run.folder}: n_subjects is not that of the rows")
    problems += [
        f"{run.folder}: {metric} does not follow from the rows"
        for metric, told in result.metrics.items()
        if not _follows(told, follow(run.rows, metric, told))
    ]
    return problems


def _follows(told: Estimate, computed: Estimate) -> bool:
    counts = (told.n, told.n_subjects) == (computed.n, computed.n_subjects)
    if not counts or not isclose(told.mean, computed.mean, rel_tol=1e-9, abs_tol=1e-12):
        return False
    if told.ci95 is None or computed.ci95 is None:
        return told.ci95 == computed.ci95
    # Libraries may change their random stream: the ends may move by a little of the width.
    slack = 0.05 * (computed.ci95[1] - computed.ci95[0]) + 1e-12
    return all(abs(a - b) <= slack for a, b in zip(told.ci95, computed.ci95, strict=True))


def build(leaderboards: Path) -> list[Path]:
    """Write every board's README and the pages of its reproduced tables; returns where.

    UserError for a row or an outcome that cannot be read.
    """
    written = []
    for board in _boards(leaderboards):
        write_atomically(board / README, _render(board, read_board(board)))
        written += [board / README, *(write_page(path) for path in outcomes_of(board))]
    return written


def check(leaderboards: Path) -> list[str]:
    """Every problem of every board, one sentence each; none means that all of it holds."""
    problems: list[str] = []
    owners: dict[str, Path] = {}
    for board in _boards(leaderboards):
        runs = []
        for folder in _folders(board):
            try:
                runs.append(read_measured(folder))
            except UserError as error:
                problems.append(str(error))
        for run in runs:
            problems += [*contradictions(run), *_misplaced(run, leaderboards, owners)]
            problems += _outdated(run)
        if len(runs) == len(_folders(board)):
            problems += _stale(board, runs)
        problems += problems_of(board)
    return problems


def table(suite_key: str, leaderboards: Path, extra: RunResult | None = None) -> Table:
    """A suite's board for the terminal; UserError for a row that cannot be read.

    With ``extra``, the run just made, only what is comparable with it is shown, and it is marked:
    in its place when its rows are on the board, else in a line of its own, unranked.
    """
    board = leaderboards.joinpath(*suite_key.split("@"))
    return as_table(suite_key, sections(read_board(board)), extra)


def read_board(board: Path) -> list[Measured]:
    """Every measured row of a board, by folder name. UserError for one that cannot be read."""
    return [read_measured(folder) for folder in _folders(board)]


def _render(board: Path, runs: list[Measured]) -> str:
    suite = load_suite(_suite_key(board))
    return markdown(f"{suite.key}: {suite.title}", sections(runs))


def _suite_key(board: Path) -> str:
    return f"{board.parent.name}@{board.name}"


def _boards(leaderboards: Path) -> list[Path]:
    if not leaderboards.is_dir():
        raise UserError(
            f"There are no leaderboards at {leaderboards}; give the folder they are in."
        )
    return [path for path in sorted(leaderboards.glob("*/*")) if path.is_dir()]


def _folders(board: Path) -> list[Path]:
    """Row folders; hidden ones are rows that a killed ``add_row`` did not finish."""
    return [path for path in sorted((board / MEASURED).glob("[!.]*")) if path.is_dir()]


def _misplaced(run: Measured, leaderboards: Path, owners: dict[str, Path]) -> Iterator[str]:
    """Whether the row lies where its identity says, and nowhere else."""
    home = leaderboards / place(run.result)
    if run.folder != home:
        yield f"{run.folder}: this row belongs at {home}; move it there"
    owner = owners.setdefault(run.result.identity, run.folder)
    if owner != run.folder:
        yield f"{run.folder}: the same run stands at {owner}; delete one of them"


def _outdated(run: Measured) -> Iterator[str]:
    """Whether the suite and protocol by these names are still what the run was measured with."""
    result = run.result
    try:
        suite = load_suite(result.suite)
        protocol = load_protocol(suite, result.protocol)
    except UserError as error:
        yield f"{run.folder}: its suite or protocol is gone. {error}"
        return
    if suite.identity != result.suite_identity:
        yield f"{run.folder}: was measured on another content of {result.suite}; run it again"
    if protocol.identity != result.protocol_identity:
        yield f"{run.folder}: was measured by another {result.protocol}; run it again"


def _stale(board: Path, runs: list[Measured]) -> Iterator[str]:
    readme = board / README
    try:
        expected = _render(board, runs)
    except UserError as error:
        yield str(error)
        return
    if not readme.is_file() or readme.read_bytes() != expected.encode():
        yield f"{readme} is stale: run 'bench board build'"
