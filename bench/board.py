"""Leaderboards: rows that were copied in, checked against their own numbers, and ranked.

A board is ``<suite>/<version>/`` with ``measured/<run>/`` (``row.json`` and ``rows.parquet``) and
a ``README.md`` that follows from them byte by byte. Reproduced tables lie beside them, schemas of
all that is JSON in ``schema/``.
"""

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

from bench.board_tables import as_table, markdown
from bench.errors import UserError
from bench.outcomes import outcomes_of, problems_of, write_page
from bench.protocols import load_protocol
from bench.recomputed import contradictions
from bench.results import MEASURED, Measured, RunResult, read_measured
from bench.revisions import changes, previous, read_at
from bench.schemas import schema_problems, write_schemas
from bench.standings import sections
from bench.store import write_atomically
from bench.suites import load_suite

README = "README.md"


def place(result: RunResult) -> Path:
    """Where a measured row lies, relative to the leaderboards."""
    return Path(*result.suite.split("@"), MEASURED, result.folder_name)


def build(leaderboards: Path) -> list[Path]:
    """Write every board's README, the pages of its reproduced tables, and the schemas beside them.

    Returns where the former are. UserError for a row or an outcome that cannot be read.
    """
    written = []
    for board in boards_of(leaderboards):
        write_atomically(board / README, _render(board, read_board(board)))
        written += [board / README, *(write_page(path) for path in outcomes_of(board))]
    write_schemas(leaderboards)
    return written


def check(leaderboards: Path) -> list[str]:
    """Every problem of every board, one sentence each; none means that all of it holds."""
    problems: list[str] = []
    owners: dict[str, Path] = {}
    results: list[RunResult] = []
    for board in boards_of(leaderboards):
        runs = []
        for folder in _folders(board):
            try:
                runs.append(read_measured(folder))
            except UserError as error:
                problems.append(str(error))
        results += [run.result for run in runs]
        for run in runs:
            problems += [*contradictions(run), *_misplaced(run, leaderboards, owners)]
            problems += outdated(run)
        if len(runs) == len(_folders(board)):
            problems += _stale(board, runs)
        problems += problems_of(board)
    return [*problems, *_unexplained(results, leaderboards), *schema_problems(leaderboards)]


def table(suite_key: str, leaderboards: Path, extra: RunResult | None = None) -> Table:
    """A suite's board for the terminal; UserError for a row that cannot be read.

    With ``extra``, the run just made, only what is comparable with it is shown, and it is marked:
    in its place when its rows are on the board, else in a line of its own, unranked.
    """
    board = leaderboards.joinpath(*suite_key.split("@"))
    return as_table(suite_key, sections(read_board(board)), extra)


def read_boards(leaderboards: Path) -> list[RunResult]:
    """Every measured row of every board. UserError for one that cannot be read."""
    return [run.result for board in boards_of(leaderboards) for run in read_board(board)]


def read_board(board: Path) -> list[Measured]:
    """Every measured row of a board, by folder name. UserError for one that cannot be read."""
    return [read_measured(folder) for folder in _folders(board)]


def _render(board: Path, runs: list[Measured]) -> str:
    suite = load_suite(key_of(board))
    return markdown(f"{suite.key}: {suite.title}", sections(runs))


def key_of(board: Path) -> str:
    """The suite that a board is of, ``name@version``."""
    return f"{board.parent.name}@{board.name}"


def boards_of(leaderboards: Path) -> list[Path]:
    """The folder of every board. UserError where there are no leaderboards."""
    if not leaderboards.is_dir():
        raise UserError(
            f"There are no leaderboards at {leaderboards}; give the folder they are in."
        )
    return [path for path in sorted(leaderboards.glob("[!.]*/*")) if path.is_dir()]


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


def outdated(run: Measured) -> Iterator[str]:
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


def _unexplained(results: list[RunResult], leaderboards: Path) -> Iterator[str]:
    """Scores that are others than in the previous git revision while nothing says why."""
    if (revision := previous(leaderboards)) is None:
        return
    for change in changes(read_at(leaderboards, revision), results):
        if change.what == "rescored":
            yield (
                f"{leaderboards / place(change.row)}: its scores are not those of {revision}, but "
                f"it claims the same method revision (r{change.row.method_revision}), options and "
                "weights: raise the revision and run it again, or restore the row"
            )


def _stale(board: Path, runs: list[Measured]) -> Iterator[str]:
    readme = board / README
    try:
        expected = _render(board, runs)
    except UserError as error:
        yield str(error)
        return
    if not readme.is_file() or readme.read_bytes() != expected.encode():
        yield f"{readme} is stale: run 'bench board build'"
