"""Pages of the site, written whole: the same bytes for the same boards."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.board import boards_of
from bench.board_tables import EXPLAINED
from bench.names import parts
from bench.outcomes import EXPLAINED as REPRODUCED
from bench.outcomes import Outcome
from bench.papers import PAPERS, Paper, PublishedTable, read_paper
from bench.revisions import history
from bench.site.pages import Board, board_of
from bench.site.sweeps import sides
from bench.store import write_atomically

TEMPLATES = Path(__file__).parent / "templates"
STATIC = ("board.css", "board.js")
INDEX = "index.html"


def write_site(leaderboards: Path, out: Path) -> Path:
    """Every board, published table and reproduced one as pages in a folder; returns the first.

    Nothing is loaded from elsewhere, and all that is shown is escaped. UserError for what cannot
    be read; files of other names in the folder stay.
    """
    told = history(leaderboards)
    boards = [board_of(folder, told) for folder in boards_of(leaderboards)]
    papers = [read_paper(path) for path in sorted((leaderboards / PAPERS).glob("*.toml"))]
    for name, content in _pages(boards, papers):
        write_atomically(out / name, content)
    for name in STATIC:
        copyfile(TEMPLATES / name, out / name)
    for shown in (one for board in boards for one in board.reproduced):
        if shown.curve:
            copyfile(shown.curve, out / Path(shown.page).with_suffix(".svg"))
    return out / INDEX


def _pages(boards: list[Board], papers: list[Paper]) -> Iterator[tuple[str, str]]:
    common = {"boards": boards, "papers": papers}
    yield INDEX, _rendered("index.html", **common)
    for board in boards:
        yield (
            board.page,
            _rendered("board.html", board=board, explained=_words(EXPLAINED), **common),
        )
        for one in board.reproduced:
            told = {"shown": one, "board": board, "explained": _words(REPRODUCED)}
            drawn = sides(one.outcome.table, [one.outcome])
            yield one.page, _rendered("outcome.html", sweeps=drawn, **told, **common)
    for paper in papers:
        sweeps = {table.id: sides(table, _outcomes(table, boards)) for table in paper.tables}
        told = {"paper": paper, "sweeps": sweeps}
        yield f"paper-{paper.name}.html", _rendered("paper.html", **told, **common)


def _outcomes(table: PublishedTable, boards: list[Board]) -> list[Outcome]:
    """What reproducing a table came to on every board."""
    shown = [one.outcome for board in boards for one in board.reproduced]
    return [outcome for outcome in shown if outcome.table.key == table.key]


def _rendered(template: str, **shown: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["parts"] = parts
    return environment.get_template(template).render(shown)


def _words(explained: str) -> str:
    """What a Markdown page says of itself, less how it was written."""
    _, _, rest = explained.partition("do not edit. ")
    return rest.replace("`", "").replace("\n", " ")
