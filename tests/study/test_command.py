"""`bench study` from two runs to a table."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import UserError
from tests.study.studies import BLUE, RED, TRIALS, write_run


def bench(*arguments: str | Path) -> str:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False).stdout


@pytest.fixture
def made(tmp_path: Path) -> Path:
    runs = write_run(tmp_path / "a", "sfo", RED), write_run(tmp_path / "b", "uno", BLUE)
    sizes = ("--pairs", "6", "--per-rater", "3", "--catch", "1")
    said = bench("study", "new", *runs, "-o", tmp_path / "s.db", *sizes)
    assert "6 pairs of sfo and uno; 2 raters see each pair once" in said
    return tmp_path / "s.db"


def test_links_are_printed_once_made_and_again(made: Path) -> None:
    url = "https://example.org/study"
    links = bench("study", "tokens", made, "2", "--url", url).split()
    assert len(links) == 2
    assert all(link.startswith(f"{url}/r/") and link.endswith("/") for link in links)
    assert json.loads(bench("study", "tokens", made, "--url", url + "/", "--json")) == links


def test_a_study_on_a_crowd_platform_ends_in_a_table(made: Path, tmp_path: Path) -> None:
    folder, results = tmp_path / "crowd", tmp_path / "results.csv"
    bench("study", "export", made, "--mturk", folder, "--url", "https://x.org", "--raters", "2")
    with (folder / "tasks.csv").open(newline="") as file:
        records = [
            {f"Input.{name}": value for name, value in task.items()}
            | {f"Answer.{q}_{n + 1}": "equal" for q in QUESTIONS for n in range(TRIALS)}
            | {"WorkerId": task["trial_1"]}
            for task in csv.DictReader(file)
        ]
    with results.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    assert bench("study", "import", made, results) == "took over 2 lists of answers\n"
    assert "| uno | 0.0 | 100.0 | 0.0 | 0.0 | 100.0 | 0.0 |" in bench("study", "analyse", made)
    (told,) = json.loads(bench("study", "analyse", made, "--json"))
    assert told["methods"] == ["sfo", "uno"]


QUESTIONS = ("fidelity", "alignment")


def test_a_consent_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"consent\.txt cannot be read"):
        bench("study", "new", "a", "b", "--consent", tmp_path / "consent.txt")
