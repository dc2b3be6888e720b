"""A whole report, on disk."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.report.page import document
from bench.report.shelf import Shelf
from bench.report.together import read_together
from bench.report.write import write_report
from tests.commands import bench
from tests.report.runs import write_run


class Page(HTMLParser):
    """Addresses that a page refers to, and the data inside it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.data: Any = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text() == '<script id="data" type="application/json">':
            self.data = self.data or json.loads(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / name, name, seeds=2) for name in ("a", "b")]


@pytest.fixture(scope="module")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a report on both runs."""
    return write_report(runs, tmp_path_factory.mktemp("report"))


def test_a_page_refers_to_nothing_that_is_not_beside_it(report: Path) -> None:
    page = Page(report)
    addresses = [*page.addresses, *(one for pair in page.data["pictures"] for one in pair)]
    assert len(addresses) > 60
    for address in addresses:
        assert (report.parent / address).is_file(), address


def test_a_card_holds_every_methods_image_and_its_scores(report: Path) -> None:
    data = Page(report).data
    assert data["methods"] == ["a", "b"]
    assert len(data["cards"]) == 2 * 6
    for card in data["cards"]:
        assert len(data["subjects"][card["subject"]]) == 4
        assert [[shot["seed"] for shot in shots] for shots in card["images"]] == [[0, 1]] * 2
        assert all(len(shot["scores"]) == 2 for shots in card["images"] for shot in shots)


def test_images_to_be_edited_stand_beside_what_was_made_of_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "siso-edit", subjects=1, suite="mini-edit@1")
    data = document(read_together([run]), Shelf(tmp_path / "report"))
    assert len(data["cards"]) == 3
    assert all(card["source"] is not None for card in data["cards"])


def test_writing_it_again_changes_no_byte(runs: list[Path], report: Path) -> None:
    before = report.read_bytes()
    assert write_report(runs, report.parent).read_bytes() == before


@pytest.mark.parametrize("there", ["index.html", "row.json"])
def test_a_folder_with_something_else_is_left_alone(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    run = write_run(tmp_path / "a", "a", subjects=1)
    with pytest.raises(UserError, match="holds something else than a report"):
        write_report([run], tmp_path)
    assert (tmp_path / there).read_text() == "mine"


def test_the_command_says_what_to_open(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "a", subjects=1)
    done = bench("report", run, "-o", tmp_path / "report", "--link", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "report" / "index.html") in done.stdout
