"""Names of runs beside each other: short, and never twice the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from bench.board import boards_of, key_of, read_board
from bench.identity import identity
from bench.names import folded, names, parts, row_names
from bench.paths import leaderboards_folder
from bench.results import RunResult
from tests.conftest import made_up_result, made_up_rows

SETTINGS = st.dictionaries(
    st.sampled_from(["lr", "beta", "rule"]), st.integers(0, 1) | st.none() | st.just(identity("a"))
)


def row(**fields: Any) -> RunResult:
    made = made_up_result("siso", made_up_rows("siso", 0.5, 0.1, 1, 1), {})
    return made.model_copy(update=fields)


@given(st.lists(st.tuples(st.sampled_from("ab"), SETTINGS), max_size=8))
def test_no_two_names_are_equal(drawn: list[tuple[str, dict[str, JsonValue]]]) -> None:
    told = names([{"method": method, **settings} for method, settings in drawn])
    assert len(set(told)) == len(drawn)


def test_a_method_that_stands_alone_is_called_by_its_name() -> None:
    told = names([{"method": "sfo", "beta": 1}, {"method": "sft-base", "beta": 2}])
    assert told == ["sfo", "sft-base"]


def test_runs_of_one_method_are_called_by_what_they_set_otherwise() -> None:
    told: list[dict[str, JsonValue]] = [
        {"method": "sfo", "lr": 3, "beta": 1},
        {"method": "sfo", "lr": 3, "beta": 2, "blur": 5},
    ]
    assert names(told) == ["sfo, beta=1", "sfo, beta=2, blur=5"]


def test_a_guidance_needs_no_name_before_it() -> None:
    told = names([{"method": "a", "rule": rule} for rule in ("cfg:3.0", "none")])
    assert told == ["a, cfg:3.0", "a, none"]


def test_values_are_written_as_on_the_command_line() -> None:
    told = names([{"method": "a", "simplify": value} for value in (True, False, None)])
    assert told == ["a, simplify=true", "a, simplify=false", "a, simplify=none"]


def test_digests_are_said_only_where_nothing_else_differs() -> None:
    one, other = identity("one"), identity("other")
    chosen: list[dict[str, JsonValue]] = [
        {"method": "a", "lr": 1, "weights": one},
        {"method": "a", "lr": 2, "weights": one},
        {"method": "a", "lr": 2, "weights": other},
    ]
    assert names(chosen) == [
        "a, lr=1",
        f"a, lr=2, weights={one[:12]}",
        f"a, lr=2, weights={other[:12]}",
    ]


def test_equal_settings_are_numbered() -> None:
    assert names([{"method": "a"}] * 2) == ["a (1)", "a (2)"]


class TestRowNames:
    def test_rows_that_would_read_alike_say_in_what_they_differ(self) -> None:
        options = [{"rank": 4, "steps": 10}, {"rank": 4, "steps": 30}]
        told = row_names([row(options=one) for one in options] + [row(method="sfo")])
        assert told == ["siso r1, steps=10", "siso r1, steps=30", "sfo r1"]

    @pytest.mark.parametrize(
        "fields", [{"backbone": "sd15"}, {"method_revision": 2}, {"limited": True}]
    )
    def test_what_stands_beside_a_name_tells_rows_apart(self, fields: dict[str, object]) -> None:
        told = row_names([row(), row(options={"beta": 1}, **fields)])
        assert all("beta" not in name for name in told)

    def test_a_guidance_is_part_of_the_name(self) -> None:
        told = row_names([row(options={"rule": rule, "n": rule}) for rule in ("none", "cfg:3.0")])
        assert told == ["siso r1, none", "siso r1, cfg:3.0"]

    def test_images_that_were_brought_say_where_from(self) -> None:
        assert row_names([row(origin="images")]) == ["siso (images)"]


class TestFolded:
    def test_lines_break_between_parts(self) -> None:
        told = folded("dreambooth r1, cfg+ag:scale=3.0,ag=2.0", 16)
        assert told == ["dreambooth r1,", "cfg+ag:", "scale=3.0,", "ag=2.0"]

    @given(st.text("ab-:, ", min_size=1), st.integers(1, 20))
    def test_no_line_is_wider_and_no_letter_is_lost(self, name: str, width: int) -> None:
        lines = folded(name, width)
        assert all(len(line) <= width for line in lines)
        assert "".join(lines).replace(" ", "") == name.replace(" ", "")


def test_a_page_may_break_a_name_where_there_is_no_space() -> None:
    assert parts("a r1, pg:scale=3.0,omega=0.6") == ["a r1, pg:", "scale=3.0,", "omega=0.6"]
    assert parts("a r1, cfg:3.0") == ["a r1, cfg:3.0"]


@pytest.mark.parametrize("board", boards_of(leaderboards_folder()), ids=key_of)
def test_no_two_rows_of_a_shipped_board_read_alike(board: Path) -> None:
    results = [run.result for run in read_board(board)]
    backbones = [result.backbone for result in results]
    read = list(zip(row_names(results), backbones, strict=True))
    assert len(set(read)) == len(results)
