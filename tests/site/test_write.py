"""The site: what its pages hold, that all of it is escaped, and how it behaves in a browser."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.curves import Curve, Line
from bench.outcomes import Outcome, RowOutcome, write_outcome
from bench.papers import load_table
from bench.paths import leaderboards_folder
from bench.results import read_result, write_result, write_rows
from bench.site import write_site
from bench.submit import add_row
from tests.commands import bench
from tests.conftest import made_up_result, made_up_rows

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest_plugins = ["tests.browser"]

MakeRun = Callable[..., Path]
EVIL = "<script>alert('x')</script> & \"more\""


def committed(folder: Path) -> None:
    """The folder's content as a commit of its own checkout."""
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for arguments in (("init", "-q"), ("add", "."), (*named, "commit", "-qm", "rows")):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)


class Read(HTMLParser):
    """Every tag with its attributes, and the text."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods that can be told apart, a partial run and two anchors."""
    boards = tmp_path_factory.mktemp("leaderboards")
    levels = {"low": 0.3, "high": 0.7, "oracle": 0.6, "noise": 0.0, "part": 0.9}
    for name, level in levels.items():
        rows = made_up_rows(name, level, 0.01, 8, 3)
        told = {"options": {"note": EVIL}, "limited": name == "part"}
        run = tmp_path_factory.mktemp(name)
        write_rows(rows, run / "rows.parquet")
        write_result(made_up_result(name, rows, {}).model_copy(update=told), run / "row.json")
        add_row(run, boards, allow_limited=True)
    return boards


@pytest.fixture(scope="module")
def site(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(made, tmp_path_factory.mktemp("site")).parent


@pytest.fixture
def boards(made: Path, tmp_path: Path) -> Path:
    """The boards, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "leaderboards"))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(leaderboards_folder(), tmp_path_factory.mktemp("shipped")).parent


def test_every_row_stands_with_its_rank_and_kind(site: Path) -> None:
    page = (site / "board-mini-1.html").read_text()
    rows = re.findall(r'<tr class="(\w+)">.*?<a href="#run-\w+">(\w+) r1</a>', page, re.S)
    assert rows == [
        ("ranked", "high"),
        ("ranked", "low"),
        ("anchor", "oracle"),
        ("anchor", "noise"),
        ("partial", "part"),
    ]


def test_what_users_wrote_is_escaped(site: Path) -> None:
    read = Read(site / "board-mini-1.html")
    assert f"note={EVIL}" in read.text
    assert [attributes for tag, attributes in read.tags if tag == "script"] == [
        {"src": "board.js", "defer": None}
    ]


def test_nothing_is_loaded_from_elsewhere_and_every_link_leads_somewhere(shipped: Path) -> None:
    pages = {page.name: Read(page) for page in shipped.glob("*.html")}
    ids = {
        name: {attributes["id"] for _, attributes in read.tags if "id" in attributes}
        for name, read in pages.items()
    }
    for name, read in pages.items():
        for tag, attributes in read.tags:
            target = attributes.get("src") or attributes.get("href")
            if target is None or target == "data:,":
                continue
            file, _, fragment = target.partition("#")
            assert not file or (shipped / file).is_file(), (name, tag, target)
            assert not fragment or fragment in ids[file or name], (name, tag, target)
    assert "url(" not in (shipped / "board.css").read_text()


def test_published_figures_stand_on_pages_of_their_own_with_their_source(shipped: Path) -> None:
    paper = Read(shipped / "paper-sfo.html").text
    table = load_table("sfo/table-4")
    assert "none was measured here" in paper
    assert all(row.label in paper for row in table.rows if row.published)
    measured = Read(shipped / "board-mini-1.html").text
    assert "0.767" in paper and "paper" not in measured


def test_reproduced_tables_show_both_sides_and_the_verdicts(shipped: Path) -> None:
    page = Read(shipped / "outcome-mini-1-sfo-table-4.html").text
    assert "DINO ↑, paper" in page and "DINO ↑, here" in page
    assert "contradicted" in page and "Mini weights" in page


def test_a_measured_curve_beside_a_published_one_has_axes_of_its_own(shipped: Path) -> None:
    read = Read(shipped / "paper-pg.html")
    drawn = [told["aria-label"] for tag, told in read.tags if tag == "svg" and "role" in told]
    assert "DINO ↑ by ω, published: pg/table-9" in drawn
    assert "DINO ↑ by ω, measured: mini@1, mini weights" in drawn
    assert "but for the curves that say so" in read.text
    unmeasured = Read(shipped / "paper-sfo.html")
    assert "by β" in unmeasured.text and "but for the curves" not in unmeasured.text


def test_a_drawn_outcome_brings_its_curve(boards: Path, make_run: MakeRun, tmp_path: Path) -> None:
    table = load_table("sfo/table-4")
    curve = Curve(x="clip_t", y="dino", lines=(Line(label="by pairs", rows=("SFT-base", "CDNS")),))
    result = read_result(make_run("low", 0.3) / "row.json")
    outcome = Outcome(
        table=table.model_copy(update={"curve": curve, "claims": ()}),
        suite="mini@1",
        backbone="mini",
        rows=tuple(RowOutcome(label=row.label, run=result.identity) for row in table.rows),
        claims=(),
        runs={result.identity: result},
    )
    write_outcome(outcome, boards / "mini/1/reproduced")
    site = write_site(boards, tmp_path / "drawn").parent
    [drawn] = site.glob("*.svg")
    assert f'src="{drawn.name}"' in drawn.with_suffix(".html").read_text()


def test_a_row_shows_what_its_line_was_before(
    boards: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    [low] = boards.glob("mini/1/measured/low-*")
    committed(boards)
    shutil.rmtree(low)
    add_row(make_run("new", 0.4, method="low", method_revision=2), boards)
    committed(boards)
    page = (write_site(boards, tmp_path / "later").parent / "board-mini-1.html").read_text()
    rows = re.findall(r"<tr><td>[0-9a-f]{7,}</td><td>[0-9-]{10}</td><td>(r\d)</td>", page)
    assert rows.count("r2") == 1
    history = page.partition('aria-label="History of low r2"')[2].partition("</table>")[0]
    assert re.findall("<td>(r[12])</td>", history) == ["r1", "r2"]


def test_the_same_boards_give_the_same_bytes(boards: Path, site: Path, tmp_path: Path) -> None:
    again = write_site(boards, tmp_path / "again").parent
    files = sorted(path.name for path in site.iterdir())
    assert [(again / name).read_bytes() for name in files] == [
        (site / name).read_bytes() for name in files
    ]


def test_the_command_says_where_the_site_begins(boards: Path, tmp_path: Path) -> None:
    done = bench("board", "site", "-o", tmp_path / "out", "--boards", boards, home=tmp_path)
    assert done.stdout.strip() == f"wrote {tmp_path}/out/index.html"


class TestInABrowser:
    @pytest.fixture
    def page(self, browser: "Browser", site: Path) -> "Iterator[Page]":
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"file://{site}/board-mini-1.html")
        yield page
        page.close()
        assert complaints == []

    @staticmethod
    def names(page: "Page") -> list[str]:
        rows = page.locator("table.sortable tbody tr:visible th").all_inner_texts()
        return [name.split()[0] for name in rows]

    def test_rows_are_sorted_by_the_keyboard(self, page: "Page") -> None:
        page.get_by_role("button", name="dino").focus()
        page.keyboard.press("Enter")
        assert self.names(page) == ["part", "high", "oracle", "low", "noise"]
        page.keyboard.press("Enter")
        assert self.names(page) == ["noise", "low", "oracle", "high", "part"]
        head = page.get_by_role("columnheader", name="dino")
        assert head.get_attribute("aria-sort") == "ascending"

    def test_rows_without_a_rank_stay_last(self, page: "Page") -> None:
        page.get_by_role("button", name="rank").click()
        assert self.names(page)[:2] == ["low", "high"]

    def test_rows_are_filtered_by_words(self, page: "Page") -> None:
        page.get_by_role("searchbox").fill("anchor mini")
        assert self.names(page) == ["oracle", "noise"]
        assert page.locator(".filter output").inner_text() == "2 of 5 rows"

    def test_a_rows_link_opens_its_particulars(self, page: "Page") -> None:
        page.get_by_role("link", name="high r1").click()
        assert page.locator("details[open] summary").inner_text().startswith("high r1 on mini")

    def test_links_of_rows_are_wide_enough_for_a_thumb(self, page: "Page") -> None:
        boxes = [link.bounding_box() for link in page.locator("tbody th a, nav a").all()]
        assert len(boxes) > 5
        assert all(box and box["height"] >= 24 for box in boxes)

    @pytest.mark.parametrize(("width", "numbered"), [(390, True), (1280, False)])
    def test_a_phone_numbers_points_and_names_them_below(
        self, browser: "Browser", shipped: Path, width: int, numbered: bool
    ) -> None:
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(f"file://{shipped}/board-mini-1.html")
        assert page.locator(".names").first.is_visible() is numbered
        assert page.locator(".tradeoff .number").first.is_visible() is numbered
        assert page.locator(".tradeoff .name").first.is_visible() is not numbered
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.close()

    def test_a_phone_shows_each_claims_verdict(self, browser: "Browser", shipped: Path) -> None:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(f"file://{shipped}/outcome-mini-1-sfo-table-4.html")
        boxes = [verdict.bounding_box() for verdict in page.locator(".verdict").all()]
        assert boxes and all(box and box["x"] + box["width"] <= 390 for box in boxes)
        page.close()

    def test_a_phone_scrolls_tables_and_not_the_page(self, page: "Page") -> None:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator(".wide").first.evaluate("wide => wide.scrollWidth > wide.clientWidth")
