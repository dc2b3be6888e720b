"""The server of a study: what its document says is true, and nothing else gets in or out."""

import copy
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis.core.failures import FailureGroup
from starlette.testclient import TestClient

from bench.errors import UserError
from bench.study.app import BODY_LIMIT, make_app
from bench.study.database import opened, settings_of
from bench.study.description import openapi
from tests.study.studies import links, write_study

EXAMPLES = 8
"""Requests of each kind of mode for every operation."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def client(path: Path) -> Iterator[TestClient]:
    with TestClient(make_app(path), raise_server_exceptions=False) as found:
        yield found


def document(path: Path) -> dict[str, Any]:
    with opened(path) as connection:
        return openapi(settings_of(connection))


def of_rater(told: dict[str, Any], token: str) -> dict[str, Any]:
    """The same document, for the holder of one link."""
    known = copy.deepcopy(told)
    for at in known["paths"].values():
        for parameter in at.get("parameters", []):
            if parameter["name"] == "token":
                parameter["schema"] = {"const": token}
    return known


def operations(told: dict[str, Any]) -> Iterator[Any]:
    every: Any = schemathesis.openapi.from_dict(told).get_all_operations()
    for found in every:
        yield found.ok()


def modes(operation: Any) -> list[schemathesis.GenerationMode]:
    """What needs no parameter cannot be asked for wrongly."""
    every = list(schemathesis.GenerationMode)
    return every if "{" in operation.path else [schemathesis.GenerationMode.POSITIVE]


def scan(client: TestClient, told: dict[str, Any]) -> None:
    """Send what the document allows and what it does not, and hold all checks to the answers."""
    for operation in operations(told):
        for mode in modes(operation):
            cases = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=EXAMPLES,
                deadline=10_000,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(cases)
            def hold(case: Any) -> None:
                case.call_and_validate(app=client.app)

            hold()


def test_strangers_meet_what_the_document_says(client: TestClient, path: Path) -> None:
    scan(client, document(path))


def test_so_does_a_rater(client: TestClient, path: Path) -> None:
    (link,) = links(path, 1)
    client.post(f"{link}consent")
    scan(client, of_rater(document(path), link.split("/")[2]))


@pytest.mark.parametrize(
    "lie",
    [
        lambda told: told["paths"]["/r/{token}/next"]["get"]["responses"].pop("404"),
        lambda told: told["paths"]["/app.js"]["get"]["responses"]["200"].update(
            content={"text/css": {}}
        ),
        lambda told: told["paths"]["/r/{token}/answer"]["post"]["responses"].pop("422"),
    ],
)
def test_a_document_that_were_untrue_would_be_found_out(
    client: TestClient, path: Path, lie: Any
) -> None:
    told = document(path)
    lie(told)
    with pytest.raises(FailureGroup):
        scan(client, told)


def test_every_view_to_the_end_is_as_described(client: TestClient, path: Path) -> None:
    (link,) = links(path, 1)
    told = document(path)["paths"]["/r/{token}/next"]["get"]["responses"]["200"]
    described = Draft202012Validator(told["content"]["application/json"]["schema"])
    states: list[str] = []
    while not states or states[-1] != "done":
        view = client.get(f"{link}next").json()
        described.validate(view)
        states.append(view["state"])
        if view["state"] == "consent":
            client.post(f"{link}consent")
        if view["state"] == "trial":
            choices = {"fidelity": "left", "alignment": "equal"}
            given = client.post(f"{link}answer", json={"trial": view["trial"], "choices": choices})
            assert given.status_code == 200
    assert states == ["consent", *["trial"] * 4, "done"]


def others(path: Path, token: str) -> tuple[list[str], list[str]]:
    """Trials and images that are not this rater's."""
    with closing(sqlite3.connect(path)) as connection:
        trials = connection.execute("SELECT id FROM trial WHERE rater != ?", (token,)).fetchall()
        images = connection.execute(
            "SELECT id FROM image WHERE id NOT IN (SELECT a FROM pair JOIN trial ON pair.id = pair "
            "WHERE rater = ? UNION SELECT b FROM pair JOIN trial ON pair.id = pair WHERE rater = ? "
            "UNION SELECT image FROM reference)",
            (token, token),
        ).fetchall()
    return [trial for (trial,) in trials], [image for (image,) in images]


def test_a_rater_reaches_nothing_of_anothers(client: TestClient, path: Path) -> None:
    mine, theirs = links(path, 2)
    for link in (mine, theirs):
        client.post(f"{link}consent")
    trials, images = others(path, mine.split("/")[2])
    assert trials and images
    for image in images:
        assert client.get(f"{mine}image/{image}").status_code == 404
    for trial in trials:
        body = {"trial": trial, "choices": {"fidelity": "left", "alignment": "left"}}
        assert client.post(f"{mine}answer", json=body).status_code == 404


@pytest.mark.parametrize(
    "place",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/database.py",
        "/app.js/../../app.py",
        "/static/../consent.txt",
        "//etc/passwd",
        "/%00",
        "/page.html",
        "/openapi.json",
        "/docs",
        "/r/%2e%2e/next",
        "/r/' OR 1=1 --/next",
        "/r/x/image/..%2f..%2fstudy.db",
    ],
)
def test_no_path_leads_to_a_file(client: TestClient, place: str) -> None:
    answer = client.get(place)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert set(answer.json()) == {"problem"}


def test_a_body_is_read_to_its_limit_and_no_further(client: TestClient, path: Path) -> None:
    (link,) = links(path, 1)
    kilobytes = (b" " * 1024 for _ in range(1000))
    assert client.post(f"{link}answer", content=b" " * (BODY_LIMIT + 1)).status_code == 413
    assert client.post(f"{link}answer", content=kilobytes).status_code == 413


@pytest.mark.parametrize("place", ["", "next", "/app.js", "/style.css", "/nowhere", "image/x"])
def test_every_answer_is_kept_to_its_rater(client: TestClient, path: Path, place: str) -> None:
    (link,) = links(path, 1)
    told = client.get(place if place.startswith("/") else link + place).headers
    policy = dict(part.strip().split(" ", 1) for part in told["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert told["referrer-policy"] == "no-referrer"
    assert told["cache-control"] == "no-store"
    assert told["x-content-type-options"] == "nosniff"
    assert told["x-frame-options"] == "DENY"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in told
    assert "server" not in told


@settings(max_examples=50, deadline=10_000)
@given(st.binary(max_size=64) | st.recursive(st.text(), st.lists).map(json.dumps).map(str.encode))
def test_no_body_breaks_the_server(client: TestClient, path: Path, body: bytes) -> None:
    token = document_token(path)
    assert client.post(f"/r/{token}/answer", content=body).status_code in (404, 422)


def document_token(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT token FROM rater").fetchone()
    return str(found[0]) if found else "x" * 22


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON answer BEGIN DELETE FROM answer; END",
        "CREATE VIEW v AS SELECT * FROM rater",
        "DROP TABLE study; CREATE VIEW study AS WITH RECURSIVE n(i) AS "
        "(SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS settings FROM n WHERE i = 2",
    ],
)
def test_statements_in_a_strangers_study_are_not_run(statement: str, tmp_path: Path) -> None:
    study = write_study(tmp_path)
    with closing(sqlite3.connect(study)) as connection:
        connection.executescript(statement)
    with pytest.raises(UserError, match="tables are not those of a study"), opened(study):
        pass
