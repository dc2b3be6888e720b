"""The server: what a rater can reach, what an answer must be, and what outlives a kill."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.commands import bench_json
from tests.study.studies import TRIALS, ask, links, prefers_red, served, told, write_study

BOTH = {"fidelity": "left", "alignment": "equal"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def address(path: Path) -> Iterator[str]:
    with served(path) as (found, _):
        yield found


@pytest.fixture
def rater(address: str, path: Path) -> str:
    """The link of a new rater who has agreed."""
    (link,) = links(path, 1)
    told(f"{address}{link}consent", {})
    return address + link


def reply(link: str, view: dict[str, Any], choices: dict[str, str]) -> dict[str, Any]:
    return told(f"{link}answer", {"trial": view["trial"], "choices": choices})


def test_a_rater_agrees_first(address: str, path: Path) -> None:
    (link,) = links(path, 1)
    view = told(f"{address}{link}next")
    assert (view["state"], view["consent"]) == ("consent", ["One.", "Two."])
    assert "trial" not in view
    assert told(f"{address}{link}consent", {})["state"] == "trial"


def test_answers_lead_to_the_end_and_a_link_goes_on_where_its_rater_stopped(rater: str) -> None:
    view = told(f"{rater}next")
    for number in range(1, TRIALS + 1):
        assert (view["number"], view["of"]) == (number, TRIALS)
        assert told(f"{rater}next") == view
        view = reply(rater, view, BOTH)
    assert view["state"] == "done"


def test_an_answer_again_changes_nothing_and_another_is_refused(rater: str) -> None:
    first = told(f"{rater}next")
    second = reply(rater, first, BOTH)
    assert reply(rater, first, BOTH) == second
    other = {"trial": first["trial"], "choices": {**BOTH, "fidelity": "right"}}
    assert ask(f"{rater}answer", json.dumps(other).encode())[0] == 409


def test_what_is_sent_names_no_method_and_no_noise(rater: str) -> None:
    view = told(f"{rater}next")
    images = [*view["references"], view["left"], view["right"]]
    sent = [ask(f"{rater}image/{image}")[1] for image in images]
    sent += [ask(rater)[1], json.dumps(view).encode()]
    assert all(png.startswith(b"\x89PNG") for png in sent[: len(images)])
    for content in sent:
        for word in (b"method", b"noise", b"swapped", b"catch"):
            assert word not in content


def test_nothing_is_reached_without_a_link_and_nothing_of_others_with_one(
    address: str, path: Path, rater: str
) -> None:
    (other,) = links(path, 1)
    theirs = told(f"{address}{other}consent", {})
    with closing(sqlite3.connect(path)) as connection:
        ours = "SELECT a FROM pair UNION SELECT b FROM pair UNION SELECT image FROM reference"
        everything = {image for (image,) in connection.execute(ours)}
    seen = {ask(f"{rater}image/{image}")[0] for image in everything}
    assert seen == {200, 404}
    body = json.dumps({"trial": theirs["trial"], "choices": BOTH}).encode()
    assert ask(f"{rater}answer", body)[0] == 404
    for nowhere in ("/", "/r/", "/r/nobody/", "/r/nobody/next", "/docs", "/consent.txt", "/r/../"):
        assert ask(address + nowhere)[0] == 404
    assert ask(f"{address}/r/nobody/answer", body)[0] == 404
    assert ask(f"{address}/r/nobody/image/{theirs['left']}")[0] == 404


def test_nobody_answers_before_agreeing(address: str, path: Path) -> None:
    (link,) = links(path, 1)
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT id FROM trial WHERE rater = ?", (link.split("/")[2],))
        (trial,) = row.fetchone()
    body = json.dumps({"trial": trial, "choices": BOTH}).encode()
    assert ask(f"{address}{link}answer", body)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"\\ud800"',
        b"\xff\xfe",
        b"[" * 4000,
        b'{"trial": 1, "choices": {}}',
        b'{"trial": "\\ud800", "choices": {"fidelity": "left", "alignment": "left"}}',
        b'{"trial": "x", "choices": {"fidelity": "left", "alignment": "up"}}',
        b'{"trial": "x", "choices": {"fidelity": "left"}}',
        b'{"trial": "x", "choices": {"fidelity": "left", "alignment": "left", "beauty": "left"}}',
        b'{"trial": "x", "choices": {"fidelity": "left", "alignment": "left"}, "rater": "y"}',
        b'{"trial": "x", "choices": [["fidelity", "left"]]}',
    ],
)
def test_what_is_no_answer_is_refused(rater: str, body: bytes) -> None:
    assert ask(f"{rater}answer", body)[0] == 422


def test_an_endless_answer_is_cut_short(rater: str) -> None:
    assert ask(f"{rater}answer", b" " * 5000)[0] == 413


def test_a_link_is_told_to_no_other_site_and_kept_in_no_cache(rater: str) -> None:
    with urlopen(rater, timeout=30) as page:
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def take_part(address: str, link: str, acknowledged: list[str]) -> None:
    """Prefer red until there is no more, or the server is gone; agreeing again does no harm."""
    where = address + link
    view = told(f"{where}consent", {})
    while view["state"] == "trial":
        side = prefers_red(view, lambda image: ask(f"{where}image/{image}")[1])
        following = reply(where, view, {"fidelity": side, "alignment": side})
        acknowledged.append(view["trial"])
        view = following


def test_a_server_killed_amid_concurrent_raters_loses_no_answer_and_they_go_on(study: Path) -> None:
    raters, acknowledged = links(study, 6), list[str]()

    def until_killed(address: str, link: str) -> None:
        try:
            take_part(address, link, acknowledged)
        except (URLError, ConnectionError, HTTPException):
            return

    with served(study) as (address, process), ThreadPoolExecutor(len(raters)) as pool:
        first = [pool.submit(until_killed, address, link) for link in raters]
        while len(acknowledged) < TRIALS * len(raters) // 3:
            assert any(not one.done() for one in first)
        process.kill()
        for one in first:
            one.result()
    assert len(acknowledged) < TRIALS * len(raters)
    with served(study) as (address, _), ThreadPoolExecutor(len(raters)) as pool:
        with closing(sqlite3.connect(study)) as connection:
            kept = [trial for (trial,) in connection.execute("SELECT trial FROM answer")]
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert set(acknowledged) <= set(kept)
        assert all(kept.count(trial) == 2 for trial in kept)
        list(pool.map(take_part, [address] * 6, raters, [acknowledged] * 6))
    (told_of,) = bench_json("study", "analyse", study, home=study.parent / "home")
    assert (told_of["raters"], told_of["excluded"]) == (6, 0)
    assert (told_of["answered"], told_of["trials"]) == (24, 24)
    for question in told_of["questions"]:
        assert (question["answers"], question["pairs"]) == (18, 6)
        assert question["win"] == {"share": 1, "ci95": [1, 1]}
