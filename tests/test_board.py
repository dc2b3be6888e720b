"""Boards: adding rows, building, checking, ranking, and the table on the terminal."""

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from bench.api import WHOLE_SET, Row, rows_identity
from bench.board import build, check, table
from bench.errors import UserError
from bench.identity import identity
from bench.results import estimate_set, read_measured, read_result, write_result, write_rows
from bench.standings import beyond
from bench.submit import add_row

MakeRun = Callable[..., Path]


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return tmp_path / "leaderboards"


def ranks(readme: str) -> list[tuple[str, str]]:
    """(rank, method) of every table row."""
    lines = [line.split("|") for line in readme.splitlines() if "](measured/" in line]
    return [(cells[1].strip(), cells[2].split("[")[1].split(" ")[0]) for cells in lines]


def built(boards: Path) -> str:
    [readme] = build(boards)
    return readme.read_text(encoding="utf-8")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def as_set(run: Path) -> Path:
    """The run with its DINO as a number about the whole set, left out subject by subject."""
    told = read_measured(run)
    dino = told.values("dino")
    subjects = sorted({key[0] for key in dino})
    values = {WHOLE_SET: fmean(dino.values())} | {
        left_out: fmean(value for key, value in dino.items() if key[0] != left_out)
        for left_out in subjects
    }
    rows = [row for row in told.rows if row.metric != "dino"]
    rows += [
        Row(
            subject=subject,
            prompt_index=-1,
            prompt="",
            seed=-1,
            metric="dino",
            value=value,
            image_sha256=identity("images"),
        )
        for subject, value in values.items()
    ]
    estimate = estimate_set(rows, "dino", len(dino))
    metric = told.result.metrics["dino"].model_copy(update={"kind": "set", **dict(estimate)})
    metrics = {"dino": metric, "clip_t": told.result.metrics["clip_t"]}
    update = {"metrics": metrics, "rows_identity": rows_identity(rows)}
    write_rows(rows, run / "rows.parquet")
    write_result(told.result.model_copy(update=update), run / "row.json")
    return run


class TestAdding:
    def test_a_row_lies_where_its_identity_says(self, make_run: MakeRun, boards: Path) -> None:
        run = make_run("sfo")
        row = add_row(run, boards)
        assert row == boards / f"mini/1/measured/sfo-mini-headline-{identity('sfo')[:12]}"
        assert sorted(path.name for path in row.iterdir()) == ["row.json", "rows.parquet"]
        assert (row / "row.json").read_bytes() == (run / "row.json").read_bytes()

    def test_leaves_nothing_else_behind(self, make_run: MakeRun, boards: Path) -> None:
        row = add_row(make_run("sfo"), boards)
        assert list(row.parent.iterdir()) == [row]

    def test_the_same_run_again_replaces_its_row(self, make_run: MakeRun, boards: Path) -> None:
        row = add_row(make_run("sfo", level=0.5), boards)
        (row / "leftover").touch()
        assert add_row(make_run("sfo", level=0.7), boards) == row
        assert read_measured(row).result.metrics["dino"].mean > 0.6
        assert sorted(path.name for path in row.iterdir()) == ["row.json", "rows.parquet"]
        assert list(row.parent.iterdir()) == [row]

    def test_a_limited_run_is_refused_unless_allowed(self, make_run: MakeRun, boards: Path) -> None:
        run = make_run("sfo", limited=True)
        with pytest.raises(UserError, match="fewer subjects or seeds than headline@1 asks for"):
            add_row(run, boards)
        assert not boards.exists()
        assert add_row(run, boards, allow_limited=True).is_dir()

    def test_numbers_that_do_not_follow_from_the_rows_are_refused(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        run = make_run("sfo")
        edit(run / "row.json", lambda told: told["metrics"]["dino"].update(mean=0.99))
        with pytest.raises(UserError, match="dino does not follow from the rows; score"):
            add_row(run, boards)
        assert not boards.exists()

    def test_an_unfinished_run_is_refused(self, tmp_path: Path, boards: Path) -> None:
        with pytest.raises(UserError, match=r"has no row.json"):
            add_row(tmp_path, boards)


class TestReadme:
    def test_says_what_was_measured_and_how(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo"), boards)
        readme = built(boards)
        dino = read_result(make_run("sfo") / "row.json").metrics["dino"]
        assert dino.ci95 is not None
        number = f"{dino.mean:.3f} [{dino.ci95[0]:.3f}, {dino.ci95[1]:.3f}]"
        link = f"[sfo r1](measured/sfo-mini-headline-{identity('sfo')[:12]}/row.json)"
        assert readme.startswith("# mini@1: The mini world")
        assert "\n## Protocol headline@1\n" in readme
        assert "| rank | method | backbone | dino ↑ | clip_t ↑ | images | subjects |" in readme
        assert f"| 1 | {link} | mini | {number} |" in readme
        assert "| 24 | 8 |" in readme
        digest = identity("weights")[:12]
        assert f"- dino: version 1, cosine, encoder mini-dino ({digest}), references: all" in readme

    def test_a_guided_run_says_so(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo"), boards)
        add_row(make_run("rpo", options={"rule": "pg:scale=7.5,omega=0.6"}), boards)
        readme = built(boards)
        assert "[rpo r1, pg:scale=7.5,omega=0.6](" in readme
        assert "[sfo r1](" in readme

    def test_rows_that_would_read_alike_say_in_what_they_differ(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, steps in (("one", 10), ("two", 30)):
            options = {"beta": 1000, "steps": steps}
            add_row(make_run(name, method="siso", options=options), boards)
        readme = built(boards)
        assert "[siso r1, steps=10]" in readme and "[siso r1, steps=30]" in readme

    def test_names_mini_weights(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo"), boards)
        assert "not comparable with anything outside the mini world" in built(boards)

    def test_does_not_name_them_where_there_are_none(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo", mini_weights=False), boards)
        assert "not comparable with" not in built(boards)

    def test_is_the_same_whatever_the_order_of_adding(
        self, make_run: MakeRun, tmp_path: Path
    ) -> None:
        runs = [make_run(name) for name in ("sfo", "sft-base", "dpo")]
        for run in runs:
            add_row(run, tmp_path / "one")
        for run in reversed(runs):
            add_row(run, tmp_path / "two")
        assert built(tmp_path / "one") == built(tmp_path / "two")

    def test_follows_from_the_rows_byte_by_byte(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo"), boards)
        assert built(boards) == built(boards)

    def test_an_empty_board_says_so(self, boards: Path) -> None:
        (boards / "mini" / "1").mkdir(parents=True)
        assert "Nothing has been measured yet." in built(boards)

    def test_one_subject_has_no_interval(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo", subjects=1), boards)
        assert "[no interval]" in built(boards)

    def test_what_is_hidden_is_no_board(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sfo"), boards)
        (boards / ".git" / "branches").mkdir(parents=True)
        assert build(boards) == [boards / "mini/1/README.md"]

    def test_a_board_of_an_unknown_suite_is_refused(self, boards: Path) -> None:
        (boards / "minni" / "1").mkdir(parents=True)
        with pytest.raises(UserError, match="minni"):
            build(boards)

    def test_no_folder_of_boards_is_an_error_not_an_empty_success(self, boards: Path) -> None:
        with pytest.raises(UserError, match="There are no leaderboards at"):
            build(boards)


class TestRanks:
    def test_the_best_comes_first(self, make_run: MakeRun, boards: Path) -> None:
        for name, level in (("low", 0.3), ("high", 0.7), ("middle", 0.5)):
            add_row(make_run(name, level), boards)
        assert ranks(built(boards)) == [("1", "high"), ("2", "middle"), ("3", "low")]

    def test_the_least_comes_first_where_less_is_better(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, level in (("low", 0.3), ("high", 0.7)):
            add_row(make_run(name, level, definition={"higher_is_better": False}), boards)
        readme = built(boards)
        assert ranks(readme) == [("1", "low"), ("2", "high")]
        assert "dino ↓" in readme

    def test_runs_that_cannot_be_told_apart_share_a_span_and_the_next_comes_after(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, level in (("one", 0.5), ("two", 0.5), ("far", 0.2)):
            add_row(make_run(name, level, noise=0.05), boards)
        told = ranks(built(boards))
        assert [rank for rank, _ in told] == ["1\u20132", "1\u20132", "3"]
        assert told[2][1] == "far"

    def test_runs_are_ranked_by_a_number_about_their_sets(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, level in (("low", 0.3), ("high", 0.7)):
            add_row(as_set(make_run(name, level)), boards)
        assert ranks(built(boards)) == [("1", "high"), ("2", "low")]

    def test_a_mean_over_subjects_ranks_by_the_subjects_means(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, level in (("low", 0.3), ("high", 0.7)):
            add_row(make_run(name, level, definition={"average": "subjects"}), boards)
        assert ranks(built(boards)) == [("1", "high"), ("2", "low")]

    def test_subjects_that_differ_widely_do_not_hide_a_paired_difference(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        """The two intervals overlap; the interval of the difference leaves out zero."""
        rows = [add_row(make_run(name, level), boards) for name, level in (("a", 0.5), ("b", 0.53))]
        low, high = (read_result(row / "row.json").metrics["dino"].ci95 for row in rows)
        assert low is not None and high is not None and high[0] < low[1]
        assert ranks(built(boards)) == [("1", "b"), ("2", "a")]

    def test_partial_runs_stand_apart_without_a_rank(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("full"), boards)
        add_row(make_run("part", 0.9, subjects=3, limited=True), boards, allow_limited=True)
        full, _, partial = built(boards).partition("### Partial runs")
        assert ranks(full) == [("1", "full")]
        assert ranks(partial) == [("", "part")]

    @pytest.mark.parametrize(
        "other",
        [
            {"protocol": "zoomed@1"},
            {"protocol_identity": identity("x")},
            {"suite_identity": identity("x")},
            {"mini_weights": False},
            {"definition": {"metric_version": 2}},
            {"definition": {"encoder_digest": identity("x")}},
        ],
    )
    def test_what_is_not_comparable_is_never_ranked_together(
        self, make_run: MakeRun, boards: Path, other: dict[str, object]
    ) -> None:
        add_row(make_run("one", 0.3), boards)
        add_row(make_run("two", 0.7, **other), boards)
        assert sorted(ranks(built(boards))) == [("1", "one"), ("1", "two")]

    def test_full_runs_must_answer_the_same_cases(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("one"), boards)
        add_row(make_run("two", subjects=7), boards)
        with pytest.raises(UserError, match="answer different cases"):
            build(boards)
        assert any("answer different cases" in problem for problem in check(boards))


class TestAnchors:
    @pytest.fixture
    def readme(self, make_run: MakeRun, boards: Path) -> str:
        """A method on either side of the oracle, and a copy above them all."""
        levels = {"below": 0.5, "oracle": 0.6, "beyond": 0.7, "copy-reference": 0.8}
        for name, level in levels.items():
            add_row(make_run(name, level), boards)
        return built(boards)

    @staticmethod
    def flagged(readme: str) -> list[str]:
        """The methods with a flag at one of their numbers."""
        rows = [line for line in readme.splitlines() if "](measured/" in line and "†" in line]
        return [method for row in rows for _, method in ranks(row)]

    def test_stand_unranked_under_the_ranked_rows_the_best_first(self, readme: str) -> None:
        assert ranks(readme) == [
            ("1", "beyond"),
            ("2", "below"),
            ("", "copy-reference"),
            ("", "oracle"),
        ]

    def test_are_called_anchors(self, readme: str) -> None:
        anchors = [line for line in readme.splitlines() if "/row.json) anchor |" in line]
        assert [method for row in anchors for _, method in ranks(row)] == [
            "copy-reference",
            "oracle",
        ]
        assert readme.count("- anchor: no method, but what the others are read against") == 1

    def test_a_method_beyond_the_oracle_is_flagged(self, readme: str) -> None:
        assert self.flagged(readme) == ["beyond"]
        assert "- † beyond the oracle: closer to the photographs than another real" in readme

    @pytest.mark.parametrize(
        "definition",
        [
            {"references": "none"},
            {"references": "siblings"},
            {"kind": "set"},
            {"unit": "share"},
            {"region": "background"},
        ],
    )
    def test_only_likeness_to_the_photographs_is_flagged(
        self, make_run: MakeRun, definition: dict[str, object]
    ) -> None:
        def flagged(**fields: Any) -> set[str]:
            oracle, sfo = (make_run(*run, **fields) for run in (("oracle", 0.6), ("sfo", 0.7)))
            return beyond(read_result(sfo / "row.json"), read_result(oracle / "row.json"))

        assert flagged() == {"dino", "clip_t"}
        assert flagged(definition=definition) == set()

    def test_beyond_is_below_where_less_is_better(self, make_run: MakeRun, boards: Path) -> None:
        for name, level in (("near", 0.3), ("oracle", 0.4), ("far", 0.7)):
            add_row(make_run(name, level, definition={"higher_is_better": False}), boards)
        assert self.flagged(built(boards)) == ["near"]

    def test_a_partial_run_is_held_against_no_oracle(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("oracle", 0.6), boards)
        add_row(make_run("part", 0.7, limited=True), boards, allow_limited=True)
        assert "†" not in built(boards)

    def test_a_partial_anchor_is_a_partial_run(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("oracle", 0.6, limited=True), boards, allow_limited=True)
        add_row(make_run("sfo", 0.7), boards)
        readme = built(boards)
        assert self.flagged(readme) == []
        assert "### Partial runs" in readme

    def test_images_that_are_called_like_an_anchor_are_none(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        add_row(make_run("oracle", 0.6, origin="images"), boards)
        assert "anchor" not in built(boards)

    def test_a_board_of_anchors_alone_is_built(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("noise"), boards)
        assert ranks(built(boards)) == [("", "noise")]


class TestChecking:
    @pytest.fixture
    def row(self, make_run: MakeRun, boards: Path) -> Path:
        row = add_row(make_run("sfo"), boards)
        build(boards)
        return row

    def test_a_built_board_has_no_problem(self, row: Path, boards: Path) -> None:
        assert check(boards) == []

    def test_a_new_row_makes_the_readme_stale(
        self, row: Path, make_run: MakeRun, boards: Path
    ) -> None:
        add_row(make_run("sft-base"), boards)
        assert check(boards) == [f"{boards}/mini/1/README.md is stale: run 'bench board build'"]

    @pytest.mark.parametrize("content", [None, "by hand\n"])
    def test_a_readme_by_hand_or_none_is_stale(
        self, row: Path, boards: Path, content: str | None
    ) -> None:
        readme = boards / "mini/1/README.md"
        readme.unlink()
        if content:
            readme.write_text(content)
        assert check(boards) == [f"{readme} is stale: run 'bench board build'"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("mean", 0.9), ("n", 23), ("ci95", [0.1, 0.2]), ("ci95", None), ("n_subjects", 7)],
    )
    def test_aggregates_must_follow_from_the_rows(
        self, row: Path, boards: Path, field: str, value: object
    ) -> None:
        edit(row / "row.json", lambda told: told["metrics"]["dino"].update({field: value}))
        assert f"{row}: dino does not follow from the rows" in check(boards)

    def test_an_interval_from_another_random_stream_is_no_problem(
        self, row: Path, boards: Path
    ) -> None:
        def nudge(told: dict[str, Any]) -> None:
            low, high = told["metrics"]["dino"]["ci95"]
            told["metrics"]["dino"]["ci95"] = [low + 0.01 * (high - low), high]

        edit(row / "row.json", nudge)
        build(boards)
        assert check(boards) == []

    def test_the_count_of_subjects_must_follow_from_the_rows(self, row: Path, boards: Path) -> None:
        edit(row / "row.json", lambda told: told.update(n_subjects=9))
        assert f"{row}: n_subjects is not that of the rows" in check(boards)

    def test_altered_rows_are_found_even_where_the_mean_stays(
        self, row: Path, boards: Path
    ) -> None:
        first, *others = read_measured(row).rows
        write_rows([first.model_copy(update={"prompt": "x"}), *others], row / "rows.parquet")
        assert check(boards) == [f"{row}: rows_identity is not that of the rows"]

    def test_a_row_that_does_not_validate_is_named(self, row: Path, boards: Path) -> None:
        edit(row / "row.json", lambda told: told.pop("backbone"))
        assert check(boards) == [f"{row}/row.json is no result of a run: backbone: Field required."]

    def test_a_number_that_is_not_finite_is_named(self, row: Path, boards: Path) -> None:
        edit(row / "row.json", lambda told: told["metrics"]["dino"].update(mean=float("inf")))
        [problem] = check(boards)
        assert "metrics.dino.mean" in problem

    def test_a_row_without_its_rows_is_named(self, row: Path, boards: Path) -> None:
        (row / "rows.parquet").unlink()
        [problem] = check(boards)
        assert f"{row} has no rows.parquet" in problem

    def test_a_renamed_row_is_named_with_its_place(self, row: Path, boards: Path) -> None:
        renamed = row.rename(row.with_name("sfo-is-best"))
        assert check(boards) == [f"{renamed}: this row belongs at {row}; move it there"]

    def test_a_copied_row_is_a_duplicate(self, row: Path, boards: Path) -> None:
        copy = row.with_name(row.name + "-copy")
        shutil.copytree(row, copy)
        assert f"{copy}: the same run stands at {row}; delete one of them" in check(boards)

    @pytest.mark.parametrize(
        ("fields", "what"),
        [
            ({"suite_identity": identity("x")}, "was measured on another content of mini@1"),
            ({"protocol_identity": identity("x")}, "was measured by another headline@1"),
            ({"protocol": "gone@1"}, "its suite or protocol is gone"),
        ],
    )
    def test_a_row_of_another_suite_or_protocol_is_outdated(
        self, make_run: MakeRun, boards: Path, fields: dict[str, object], what: str
    ) -> None:
        add_row(make_run("sfo", **fields), boards)
        build(boards)
        [problem] = check(boards)
        assert what in problem

    @pytest.mark.parametrize("content", [None, "{}", '{"$id": "urn:subjectbench:row:0"}'])
    def test_a_schema_by_hand_or_none_is_stale(
        self, row: Path, boards: Path, content: str | None
    ) -> None:
        schema = boards / "schema/row-1.json"
        schema.unlink()
        if content:
            schema.write_text(content)
        assert check(boards) == [f"{schema} is stale: run 'bench board build'"]

    def test_what_a_killed_copy_left_is_no_row(self, row: Path, boards: Path) -> None:
        (row.parent / ".left" / "new").mkdir(parents=True)
        assert check(boards) == []


class TestTable:
    @staticmethod
    def text(shown: Table) -> str:
        written = StringIO()
        Console(file=written, width=200).print(shown)
        return written.getvalue()

    def test_shows_every_row_with_its_rank(self, make_run: MakeRun, boards: Path) -> None:
        for name, level in (("low", 0.3), ("high", 0.7)):
            add_row(make_run(name, level), boards)
        lines = self.text(table("mini@1", boards)).splitlines()
        rows = [line.split()[:2] for line in lines if " r1 " in line]
        assert rows == [["1", "high"], ["2", "low"]]

    def test_numbers_stay_whole_in_eighty_columns(self, make_run: MakeRun, boards: Path) -> None:
        for name, level in (("copy-reference", 0.8), ("textual-inversion", 0.7)):
            options = {"rule": "cfg+ag:scale=3.0,ag=2.0"} if level < 0.8 else {}
            add_row(make_run(name, level, options=options), boards)
        written = StringIO()
        Console(file=written, width=80).print(table("mini@1", boards))
        rows, _, _ = written.getvalue().partition("Protocol")
        assert "…" not in rows and "scale=3.0," in rows and "cfg+ag:" in rows

    def test_shows_anchors_unranked_and_flags_who_passes_the_oracle(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        for name, level in (("copy-reference", 0.8), ("oracle", 0.5), ("sfo", 0.7)):
            add_row(make_run(name, level), boards)
        shown = self.text(table("mini@1", boards))
        rows = [line.split() for line in shown.splitlines()]
        [sfo] = [row for row in rows if row[1:3] == ["sfo", "r1"]]
        assert sfo[0] == "1" and sfo[4].endswith("†")
        assert [row for row in rows if row[:1] == ["anchor"]]
        assert [row[0] for row in rows if "mini" in row[1:4]] == ["1", "copy-reference", "oracle"]
        assert "† beyond the oracle" in shown and "anchor: no method" in shown

    def test_flags_a_run_just_made(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("oracle", 0.5), boards)
        mine = read_result(make_run("sfo", 0.7) / "row.json")
        assert "† beyond the oracle" in self.text(table("mini@1", boards, mine))

    def test_marks_the_run_just_made(self, make_run: MakeRun, boards: Path) -> None:
        run = make_run("sfo")
        add_row(run, boards)
        add_row(make_run("sft-base"), boards)
        shown = self.text(table("mini@1", boards, read_result(run / "row.json")))
        [marked] = [line for line in shown.splitlines() if " r1 *" in line]
        assert marked.split()[:2] == ["1\u20132", "sfo"]
        assert shown.count("sfo r1") == 1

    def test_marks_no_other_run_that_drew_the_same_images(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        mine = read_result(make_run("sfo") / "row.json")
        add_row(make_run("sfo", method="twin", identity=identity("twin")), boards)
        lines = self.text(table("mini@1", boards, mine)).splitlines()
        assert [line.split()[0] for line in lines if " r1 *" in line] == ["sfo"]

    def test_adds_a_run_that_is_not_on_the_board(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("sft-base"), boards)
        shown = self.text(table("mini@1", boards, read_result(make_run("sfo") / "row.json")))
        [marked] = [line for line in shown.splitlines() if " r1 *" in line]
        assert marked.split()[0] == "sfo"
        assert "sft-base r1" in shown

    def test_shows_the_run_alone_where_there_is_no_board(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        shown = self.text(table("mini@1", boards, read_result(make_run("sfo") / "row.json")))
        assert "sfo r1 *" in shown
        assert "Mini weights" in shown

    def test_leaves_out_what_the_run_cannot_be_compared_with(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        add_row(make_run("other", definition={"metric_version": 2}), boards)
        shown = self.text(table("mini@1", boards, read_result(make_run("sfo") / "row.json")))
        assert "other" not in shown

    def test_a_partial_run_just_made_is_called_one(self, make_run: MakeRun, boards: Path) -> None:
        mine = read_result(make_run("sfo", limited=True) / "row.json")
        assert "partial sfo r1 *" in self.text(table("mini@1", boards, mine))

    def test_partial_runs_have_no_rank(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("part", limited=True), boards, allow_limited=True)
        [line] = [line for line in self.text(table("mini@1", boards)).splitlines() if "r1" in line]
        assert line.split()[:2] == ["partial", "part"]
