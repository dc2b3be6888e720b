"""`bench compare` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import UserError

MakeRun = Callable[..., Path]


def compare(*arguments: str | Path) -> str:
    told = CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "80"})
    if told.exception:
        raise told.exception
    return told.output


def as_json(*arguments: str | Path) -> Any:
    return json.loads(compare(*arguments, "--json"))


def test_two_runs_come_to_one_document_by_metric(make_run: MakeRun) -> None:
    told = as_json(make_run("sfo", level=0.6), make_run("sft-base"))
    assert list(told) == ["dino", "clip_t"]
    assert told["dino"]["ahead"] == "A"
    assert told["dino"]["cases"] == {"wins": 24, "ties": 0, "losses": 0}
    assert told["dino"]["subjects"]["wins"] == len(told["dino"]["by_subject"]) == 8
    assert told["dino"]["p_holm"] == told["dino"]["p"]


def test_more_runs_come_to_a_document_for_each_after_the_first(make_run: MakeRun) -> None:
    runs = [make_run(name, level=level) for name, level in (("a", 0.6), ("b", 0.5), ("c", 0.6))]
    told = as_json(*runs)
    assert list(told) == [str(run) for run in runs[1:]]
    assert told[str(runs[1])]["dino"]["p_holm"] > told[str(runs[1])]["dino"]["p"]


def test_a_difference_below_the_tie_is_no_win(make_run: MakeRun) -> None:
    runs = make_run("sfo", level=0.6), make_run("sft-base")
    assert as_json(*runs, "--tie", "1")["dino"]["cases"] == {"wins": 0, "ties": 24, "losses": 0}


@pytest.mark.parametrize("by", ["kind", "prompt", "subject"])
def test_the_tables_fit_eighty_columns_and_say_where_each_wins(by: str, make_run: MakeRun) -> None:
    runs = make_run("a", level=0.9), make_run("b"), make_run("c")
    told = compare(*runs, "--metric", "dino", "--by", by)
    tables = [line for line in told.splitlines() if not line.startswith(("A  ", "B  ", "C  "))]
    assert max(map(len, tables)) <= 80
    assert "…" not in told
    assert "24/0/0" in told and "(Holm)" in told
    shown = {"kind": "", "prompt": "prompt 2", "subject": "subject-7"}
    assert shown[by] in told


def test_a_row_of_a_board_may_stand_for_a_run() -> None:
    board = Path(__file__).parents[1] / "leaderboards/mini/1/measured"
    oracle, noise = (next(board.glob(f"{name}-*")).name for name in ("oracle", "noise"))
    told = as_json(f"mini@1/{oracle}", f"mini@1/{noise}", "--metric", "dino")
    assert told["dino"]["ahead"] == "A"
    assert set(told["dino"]["by_kind"]) == {"place and time", "second object", "recolour"}


def test_a_single_run_is_refused(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="1 run is given; name two to 26,"):
        compare(make_run("sfo"))
