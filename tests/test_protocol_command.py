"""`bench protocol`: list, show, diff, lint."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench.commands.protocol import app
from bench.errors import UserError
from bench.protocols import list_protocols, load_protocol
from bench.suites import list_suites, load_suite


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def document(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.exception is None, done.output
    return json.loads(done.stdout)


def test_every_protocol_is_listed_by_the_name_that_the_others_take() -> None:
    expected = [
        f"{suite.key}/{protocol.key}"
        for suite in list_suites()
        for protocol in list_protocols(suite)
    ]
    assert [one["name"] for one in document("list")] == expected
    assert [one["name"] for one in document("list", "--suite", "mini")] == ["mini@1/headline@1"]
    shown = document("show", "mini@1/headline@1")
    assert shown["identity"] == load_protocol(load_suite("mini@1")).identity
    assert "mini@1/headline@1" in run("list").stdout


def test_a_protocol_is_shown_line_by_line() -> None:
    shown = document("show", "headline", "--suite", "dreambench@1")
    words = {field["field"]: field["words"] for field in shown["fields"]}
    assert words["name_in_prompt"] == "descriptive name"
    assert words["dino.encoder"] == "dino-vits16"
    assert "cat 04.jpg" in words["input_reference"]
    assert "clip_t.references" not in words
    assert "dino-vits16" in run("show", "dreambench/headline").stdout


def test_every_difference_is_one_row() -> None:
    told = document("diff", "dreambench/headline@1", "dreambench/class-noun@1")
    assert (told["a"], told["b"]) == ("dreambench@1/headline@1", "dreambench@1/class-noun@1")
    assert [(row["field"], row["a"], row["b"]) for row in told["differences"]] == [
        ("name_in_prompt", "descriptive name", "class noun"),
        (
            "scored_text",
            "the prompt as asked, with the descriptive name",
            "the prompt as asked, with the class noun",
        ),
    ]
    assert "class noun" in run("diff", "headline", "class-noun", "--suite", "dreambench").stdout


def test_a_slash_says_the_suite_of_one_side_alone() -> None:
    told = document("diff", "headline", "mini/headline", "--suite", "dreambench")
    assert (told["a"], told["b"]) == ("dreambench@1/headline@1", "mini@1/headline@1")


def test_equal_protocols_are_said_to_be_equal() -> None:
    done = run("diff", "mini/headline", "mini@1/headline@1")
    assert done.exit_code == 0 and "are equal" in done.stdout


def test_what_is_found_ends_with_exit_code_1_unless_told_otherwise() -> None:
    done = run("lint", "--suite", "mini")
    assert done.exit_code == 1
    first, last = done.stdout.splitlines()
    assert first.startswith("mini@1/headline@1: neither source nor choice for ")
    assert first.endswith("[unstated]")
    assert last == "1 finding in 1 protocol."
    (finding,) = document("lint", "--suite", "mini", "--exit-zero")
    assert (finding["protocol"], finding["rule"]) == ("headline@1", "unstated")
    assert run("lint", "--suite", "mini", "--exit-zero").exit_code == 0
    assert run("lint", "--suite", "mini", "--ignore", "unstated").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "headline"), "say SUITE/headline, or add --suite"),
        (("show", "mini/headlin"), "did you mean headline"),
        (("diff", "minni/headline", "mini/headline"), "Unknown suite 'minni': did you mean mini"),
        (("lint", "--suite", "minni"), "Unknown suite"),
        (("lint", "--ignore", "unstatd"), "Unknown rule 'unstatd': did you mean unstated"),
    ],
)
def test_a_wrong_name_is_one_clear_sentence(arguments: tuple[str, ...], words: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, UserError) and words in str(error)
