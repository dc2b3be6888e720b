"""Boards in a git checkout: what became of their rows, and scores that change unexplained."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.board import build, check, read_boards
from bench.errors import UserError
from bench.identity import identity
from bench.results import RunResult, read_result
from bench.revisions import as_document, changes, history, line, previous, read_at, sentence
from bench.submit import add_row
from tests.commands import bench, bench_json

MakeRun = Callable[..., Path]


def git(folder: Path, *arguments: str) -> None:
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", "-C", str(folder), *named, *arguments], check=True, capture_output=True)


@pytest.fixture
def boards(tmp_path: Path, make_run: MakeRun) -> Path:
    """Leaderboards with SFO's row, committed."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    git(checkout, "init", "-q")
    add_row(make_run("sfo", 0.5), checkout / "leaderboards")
    commit(checkout / "leaderboards")
    return checkout / "leaderboards"


def commit(boards: Path) -> None:
    build(boards)
    git(boards, "add", ".")
    git(boards, "commit", "-qm", "rows")


class TestChanges:
    @pytest.fixture
    def sfo(self, make_run: MakeRun) -> RunResult:
        return read_result(make_run("sfo") / "row.json")

    def revised(self, make_run: MakeRun, name: str = "new", **fields: Any) -> RunResult:
        update = {"method": "sfo", "method_revision": 2, "identity": identity(name), **fields}
        return read_result(make_run(name, 0.7, **update) / "row.json")

    def test_nothing_became_of_the_same_rows(self, sfo: RunResult) -> None:
        assert changes([sfo], [sfo]) == []

    def test_rows_are_added_and_gone(self, sfo: RunResult) -> None:
        [added] = changes([], [sfo])
        [gone] = changes([sfo], [])
        assert (added.what, added.row, gone.what, gone.row) == ("added", sfo, "gone", sfo)

    def test_another_row_of_the_same_line_is_its_revision(
        self, make_run: MakeRun, sfo: RunResult
    ) -> None:
        new = self.revised(make_run)
        [change] = changes([sfo], [new])
        assert (change.what, change.before, change.after) == ("revised", sfo, new)
        assert change.revision == "r1 to r2"
        assert sentence(change).startswith(
            "revised: mini@1 headline@1: sfo on mini, r1 to r2 (dino "
        )
        assert " -> " in sentence(change)

    @pytest.mark.parametrize("fields", [{"backbone": "sdxl"}, {"options": {"rule": "ag"}}])
    def test_a_row_of_another_line_is_none(
        self, make_run: MakeRun, sfo: RunResult, fields: dict[str, Any]
    ) -> None:
        new = self.revised(make_run, **fields)
        assert line(new) != line(sfo)
        assert sorted(change.what for change in changes([sfo], [new])) == ["added", "gone"]

    def test_which_of_two_rows_took_a_place_is_not_guessed(
        self, make_run: MakeRun, sfo: RunResult
    ) -> None:
        new = [self.revised(make_run, name) for name in ("one", "two")]
        assert sorted(change.what for change in changes([sfo], new)) == ["added", "added", "gone"]

    def test_other_numbers_of_one_specification_are_called_so(
        self, make_run: MakeRun, sfo: RunResult
    ) -> None:
        other = read_result(make_run("sfo", 0.6) / "row.json")
        [change] = changes([sfo], [other])
        assert change.what == "rescored"
        assert "SAME REVISION" in sentence(change)
        told = as_document(change)
        assert told["scores"]["before"]["dino"] == sfo.metrics["dino"].mean
        assert told["scores"]["after"]["dino"] == other.metrics["dino"].mean


class TestGit:
    def test_rows_are_read_as_a_commit_left_them(self, make_run: MakeRun, boards: Path) -> None:
        add_row(make_run("dpo"), boards)
        assert [row.method for row in read_at(boards, "HEAD")] == ["sfo"]

    def test_an_unknown_revision_is_named(self, boards: Path) -> None:
        with pytest.raises(UserError, match="has no git revision 'v9'"):
            read_at(boards, "v9")

    def test_a_change_is_one_of_head_until_it_is_committed(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        assert previous(boards) is None
        add_row(make_run("dpo"), boards)
        assert previous(boards) == "HEAD"
        commit(boards)
        assert previous(boards) == "HEAD~1"

    def test_outside_a_checkout_nothing_came_before(self, tmp_path: Path) -> None:
        (tmp_path / "alone").mkdir()
        assert previous(tmp_path / "alone") is None
        assert history(tmp_path / "alone") == {}

    def test_history_tells_each_outcome_once(self, make_run: MakeRun, boards: Path) -> None:
        [old] = read_boards(boards)
        add_row(make_run("dpo"), boards)
        commit(boards)
        git(boards, "rm", "-rqf", str(boards / "mini/1/measured" / old.folder_name))
        new = make_run("new", 0.7, method="sfo", method_revision=2)
        add_row(new, boards)
        commit(boards)
        told = {key[3]: stood for key, stood in history(boards).items()}
        assert [one.result.method_revision for one in told["sfo"]] == [1, 2]
        assert len(told["dpo"]) == 1

    def test_rows_of_unknown_form_are_passed_over(self, boards: Path) -> None:
        old = boards / "mini/1/measured/old/row.json"
        old.parent.mkdir()
        old.write_text("{}")
        git(boards, "add", ".")
        git(boards, "commit", "-qm", "an old form")
        assert [row.method for row in read_at(boards, "HEAD")] == ["sfo"]


class TestCheck:
    def test_other_scores_without_another_revision_are_found(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        row = add_row(make_run("sfo", 0.6), boards)
        build(boards)
        [problem] = check(boards)
        assert problem.startswith(f"{row}: its scores are not those of HEAD")
        assert "(r1)" in problem

    def test_they_are_still_found_in_the_commit_itself(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        add_row(make_run("sfo", 0.6), boards)
        commit(boards)
        [problem] = check(boards)
        assert "not those of HEAD~1" in problem

    def test_other_scores_of_another_revision_are_no_problem(
        self, make_run: MakeRun, boards: Path
    ) -> None:
        add_row(make_run("new", 0.6, method="sfo", method_revision=2), boards)
        build(boards)
        assert check(boards) == []


def test_the_command_says_what_became_of_rows(
    make_run: MakeRun, boards: Path, tmp_path: Path
) -> None:
    add_row(make_run("dpo"), boards)
    done = bench("board", "diff", "HEAD", "--boards", boards, home=tmp_path)
    assert done.stdout.startswith("added: mini@1 headline@1: dpo on mini, r1 (dino 0.")
    [told] = bench_json("board", "diff", "HEAD", "--boards", boards, home=tmp_path)
    assert (told["what"], told["method"]) == ("added", "dpo")
