"""Writing a report: images first and the page last, so that what opens is whole."""

from collections.abc import Sequence
from pathlib import Path

from bench.api import Progress, silent
from bench.errors import UserError
from bench.report.figures import write_figures
from bench.report.page import MARK, SITE, document, html
from bench.report.shelf import Shelf
from bench.report.tables import write_tables
from bench.report.together import read_together
from bench.results import RESULT_FILE
from bench.store import write_atomically

PAGE = "index.html"


def write_report(
    runs: Sequence[Path], folder: Path, link: bool = False, progress: Progress = silent
) -> Path:
    """Write a site that opens without a server; returns its page.

    ``link``: refer to the runs' images where they lie, instead of keeping them beside the page.
    UserError for what ``read_together`` refuses, for images that are not those that were scored,
    and for a folder that holds something else.
    """
    shown = read_together(runs)
    _demand_free(folder)
    shelf = Shelf(folder, link)
    data = document(shown, shelf)
    shelf.fill(progress)
    figures = write_figures(shown, folder / "figures")
    files = write_tables(shown, folder / "tables")
    for name in ("report.css", "report.js"):
        write_atomically(folder / name, (SITE / name).read_bytes())
    write_atomically(folder / PAGE, html(shown, data, figures, files))
    return folder / PAGE


def _demand_free(folder: Path) -> None:
    """An earlier report may be there, and nothing that a report would mix with or replace."""
    page = folder / PAGE
    foreign = page.is_file() and MARK not in page.read_text(encoding="utf-8", errors="replace")
    if foreign or (folder / RESULT_FILE).exists():
        raise UserError(f"{folder} holds something else than a report; choose another folder.")
