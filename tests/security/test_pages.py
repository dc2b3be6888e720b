"""Whatever names and prompts hold, pages and tables show it as text: tried in a real browser."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bench.board import build, table
from bench.identity import identity
from bench.markup import FORMULAS, in_cell, in_markdown, in_spreadsheet
from bench.outcomes import read_outcome, write_outcome
from bench.paths import datasets_folder, leaderboards_folder
from bench.report import write
from bench.report.tables import as_csv, as_latex, as_markdown
from bench.report.write import write_report
from bench.results import read_measured
from bench.site import write_site
from bench.study.crowd import export
from bench.study.new import Wish, new_study
from bench.submit import add_row
from bench.suites import freeze
from tests.report.runs import write_run
from tests.study.studies import links, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest_plugins = ["tests.browser"]

EVIL = (
    '"\'><script>window.taken=1</script><img src=x onerror="window.taken=1">'
    "<svg onload=window.taken=1><a href=javascript:window.taken=1>x</a> </title></textarea>"
    "</style></script><!-- ]]> &lt;b&gt; ${taken} {{7*7}} `b` [l](javascript:taken) | \u202eright"
)
NAME = re.sub(r"[/\\]", "", EVIL)[:120]
"""What a folder may be called."""
STRANGE = """() => [...document.querySelectorAll('*')].flatMap(node =>
  [...node.attributes].filter(one => one.name.startsWith('on') || /^javascript:/i.test(one.value))
    .map(one => node.tagName + ' ' + one.name))"""
Open = Callable[[str], "Page"]


@pytest.fixture
def open_page(browser: "Browser") -> Iterator[Open]:
    """A page that must not complain, ask, call anybody, or run what it shows."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(url: str) -> "Page":
        page = browser.new_page()
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.route(lambda asked: "crowd.aws" in asked, lambda route: route.fulfill(body=""))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(url, wait_until="load")
        return page

    yield opened
    for page in pages:
        complaints += page.evaluate(STRANGE)
        assert page.evaluate("() => window.taken") is None
        page.close()
    assert complaints == []


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The mini world under a hostile title, asked hostile prompts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBJECTBENCH_HOME", str(home))
        folder = home / "suites" / "evil" / "1"
        shutil.copytree(datasets_folder() / "mini" / "1", folder)
        (folder / "digest.txt").unlink()
        template = EVIL.replace("{", "{{").replace("}", "}}")
        (folder / "prompts_object.txt").write_text(f"a {{}} {template}\n= {template}\n")
        (folder / "kinds.tsv").write_text(f"prompt\tkind\n0\t{EVIL}\n1\tother\n")
        stated = (folder / "suite.toml").read_text()
        stated = re.sub("(?m)^title = .*$", f"title = '''{EVIL}'''", stated)
        (folder / "suite.toml").write_text(stated)
        freeze(folder)
        yield "evil@1"


@pytest.fixture(scope="module")
def runs(suite: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs in folders of hostile names, with hostile options and guidance."""
    place = tmp_path_factory.mktemp("runs")
    levels = {"a": 0.4, "b": 0.6}
    return [
        write_run(
            place / f"{name}{NAME}",
            "sfo",
            level,
            suite=suite,
            side=16,
            identity=identity(name),
            options={"rule": f"{name}{EVIL}", EVIL: EVIL, "cells": ["=cmd|' /C calc'!A0"]},
        )
        for name, level in levels.items()
    ]


def test_a_report(runs: list[Path], open_page: Open, tmp_path: Path) -> None:
    page = open_page(write_report(runs, tmp_path / f"out{NAME}").as_uri())
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lightbox[open]")
    assert "<script>window.taken=1</script>" in page.inner_text("body")
    assert page.evaluate("() => document.scripts.length") == 2


def test_a_report_that_links_to_its_images(
    runs: list[Path], open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "write_figures", lambda *told: [])
    page = open_page(write_report(runs, tmp_path / "out", link=True).as_uri())
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('here').naturalWidth > 0")


@pytest.fixture(scope="module")
def boards(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board of hostile rows, a hostile paper, and its hostile outcome."""
    folder = tmp_path_factory.mktemp("boards")
    for run in runs:
        add_row(run, folder, allow_limited=True)
    paper = (leaderboards_folder() / "papers" / "siso.toml").read_text()
    (folder / "papers").mkdir()
    words = re.sub(r'(?m)^((?:title|note|label|words) = )".*"$', rf"\1'''{EVIL}'''", paper)
    (folder / "papers" / "evil.toml").write_text(words.replace("\\1", ""))
    source = leaderboards_folder() / "mini/1/reproduced"
    outcome = read_outcome(sorted(source.glob("*.json"))[0])
    told = outcome.table.model_copy(update={"title": EVIL, "note": EVIL})
    write_outcome(
        outcome.model_copy(update={"table": told, "suite": "evil@1"}),
        folder / "evil/1/reproduced",
    )
    build(folder)
    return folder


def test_a_site(boards: Path, open_page: Open, tmp_path: Path) -> None:
    write_site(boards, tmp_path / "site")
    pages = sorted((tmp_path / "site").glob("*.html"))
    assert len(pages) >= 3
    for file in pages:
        page = open_page(file.as_uri())
        assert page.evaluate("() => document.scripts.length") == 1


def links_in(markdown: str) -> set[str]:
    """Targets of links that a reader of Markdown would follow."""
    return set(re.findall(r"(?<!\\)\]\(([^)]*)\)", markdown))


def test_a_board_on_a_terminal(boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What acts on a terminal is seen on it; rich passes escapes on."""
    told = read_measured(next((boards / "evil/1/measured").iterdir())).result
    rule = "\x1b[2J\x1b]0;taken\x07\u202e"
    acting = told.model_copy(update={"identity": "0" * 64, "options": {"rule": rule}})
    Console(width=300).print(table("evil@1", boards, extra=acting))
    shown = capsys.readouterr().out
    assert "\\x1b" in shown
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_a_board_in_markdown(boards: Path) -> None:
    for file in boards.rglob("*.md"):
        text = file.read_text()
        assert not re.search(r"<\s*(script|img|svg|a)\b", text)
        assert all(
            target.startswith("measured/") or target.endswith(".svg") for target in links_in(text)
        ), file


def test_a_study_and_its_page(suite: str, open_page: Open, tmp_path: Path) -> None:
    one, two = (write_run(tmp_path / name, name, suite=suite, side=16) for name in ("a", "b"))
    for run in (one, two):
        (run / "manifest.json").write_text("{}")
    path = tmp_path / "study.db"
    new_study(one, two, path, Wish(("fidelity",), EVIL, pairs=3, per_rater=3, catches=0))
    with served(path) as (address, _):
        (link,) = links(path, 1)
        page = open_page(address + link)
        page.wait_for_selector("#consent:not([hidden])")
        page.click("#agree")
        page.wait_for_selector("#trial:not([hidden])")
        page.wait_for_function("() => document.getElementById('left').naturalWidth > 0")
        assert "<script>window.taken=1</script>" in page.inner_text("#prompt")
        page.wait_for_load_state("networkidle")
    export(path, tmp_path / "crowd", 1, "https://crowd.aws/images")
    table = (tmp_path / "crowd" / "tasks.csv").read_text()
    (task,) = csv.DictReader(io.StringIO(table))
    layout = (tmp_path / "crowd" / "layout.html").read_text()
    filled = re.sub(r"\$\{(\w+)\}", lambda found: task[found[1]], layout)
    (tmp_path / "task.html").write_text(f"<!doctype html><meta charset=utf-8>{filled}")
    page = open_page((tmp_path / "task.html").as_uri())
    assert "<script>window.taken=1</script>" in page.inner_text("body")
    assert not [cell for cell in task.values() if cell.startswith(FORMULAS)]


def test_a_table_in_latex_starts_no_command() -> None:
    text = as_latex([["method"], [r"\input{/etc/passwd} \write18{id} $x$ %#&_^~"]])
    (line,) = (line for line in text.splitlines() if "passwd" in line)
    known = (r"\textbackslash{}", r"\textasciicircum{}", r"\textasciitilde{}", r"\\")
    for command in known:
        line = line.replace(command, "")
    assert not re.search(r"(?<!\\)[$%#&_]|\\[a-z]", line)


@settings(deadline=None)
@given(st.text())
def test_no_text_ends_a_cell_or_begins_markup_or_a_link(text: str) -> None:
    for shown in (in_markdown(text), in_cell(text)):
        assert "\n" not in shown
        assert not re.search(r"<[A-Za-z/!?]", shown)
        assert not re.search(r"(?<!\\)(?:\\\\)*\|", shown) or "|" not in text
        assert not re.search(r"\]\((?!\\)", shown)
    assert len(as_markdown([["a"], [text]]).split("\n")) == 4


@settings(deadline=None)
@given(st.text() | st.sampled_from([f"{start}cmd" for start in FORMULAS]))
def test_no_text_is_calculated_by_a_spreadsheet(text: str) -> None:
    (cell,) = in_spreadsheet({"prompt": text}).values()
    assert not str(cell).startswith(FORMULAS)
    assert in_spreadsheet({"value": -1.5}) == {"value": -1.5}
    told = io.StringIO(as_csv([{"a": text, "b": 1}]), newline="")
    assert [row["b"] for row in csv.DictReader(told)] == ["1"]
