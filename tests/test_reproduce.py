"""Reproducing a table: rows are run once, verdicts follow the intervals, nothing is hidden."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.board import build, check
from bench.cli import app
from bench.errors import UserError
from bench.outcomes import Outcome, RowOutcome, markdown, place, read_outcome, write_outcome
from bench.papers import Claim, PublishedTable, load_table, read_paper
from bench.paths import leaderboards_folder
from bench.reproduce import Asked, judge, plan_rows, reproduce
from bench.results import read_measured
from tests.papers import PAPER, write_paper

MakeRun = Callable[..., Path]
FEW = Asked(limit_subjects=2)


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leaderboards with one made-up paper; runs lie in a folder of the test's own."""
    boards = tmp_path / "leaderboards"
    write_paper(boards)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    for module in ("papers", "paths"):
        monkeypatch.setattr(f"bench.{module}.leaderboards_folder", lambda: boards)
    return boards


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> PublishedTable:
    return read_paper(write_paper(tmp_path_factory.mktemp("paper"))).table("table-1")


@pytest.fixture(scope="module")
def outcome(table: PublishedTable, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Anchors on two subjects of the mini world."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        return reproduce(table, FEW)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A sweep of anchors on two subjects of the mini world."""
    paper = read_paper(write_paper(tmp_path_factory.mktemp("paper")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        return reproduce(paper.table("table-4"), FEW)


def command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", *arguments])


def ordering(higher: str, lower: str) -> Claim:
    return Claim(id="c", words="made up", metric="dino", higher=higher, lower=lower)


class TestVerdicts:
    def test_follow_the_interval_of_the_paired_difference(self, make_run: MakeRun) -> None:
        levels = {"best": 0.6, "good": 0.5, "as-good": 0.5}
        runs = {name: read_measured(make_run(name, level)) for name, level in levels.items()}
        equal = Claim(id="e", words="made up", metric="dino", equal=("good", "as-good"))
        unequal = equal.model_copy(update={"equal": ("good", "best")})
        assert judge(ordering("best", "good"), runs).verdict == "holds"
        assert judge(ordering("good", "best"), runs).verdict == "contradicted"
        assert judge(ordering("good", "as-good"), runs).verdict == "undecided"
        assert judge(equal, runs).verdict == "undecided"
        assert judge(unequal, runs).verdict == "contradicted"

    def test_tell_the_difference_of_the_first_side_over_the_second(self, make_run: MakeRun) -> None:
        runs = {n: read_measured(make_run(n, level)) for n, level in (("a", 0.7), ("b", 0.5))}
        found = judge(ordering("a", "b"), runs).difference
        assert found
        assert found.difference == pytest.approx(0.2, abs=0.02)

    def test_one_subject_decides_nothing(self, make_run: MakeRun) -> None:
        levels = (("a", 0.9), ("b", 0.1))
        runs = {n: read_measured(make_run(n, level, subjects=1)) for n, level in levels}
        assert judge(ordering("a", "b"), runs).verdict == "undecided"

    def test_runs_that_cannot_be_compared_are_not_judged(self, make_run: MakeRun) -> None:
        other = read_measured(make_run("other", definition={"metric_version": 2}))
        judged = judge(ordering("a", "b"), {"a": read_measured(make_run("a")), "b": other})
        assert judged.verdict == "not judged"
        assert "metric" in judged.why or "version" in judged.why


class TestReproducing:
    def test_claims_are_judged_and_no_contradicted_one_is_hidden(self, outcome: Outcome) -> None:
        assert {claim.id: claim.verdict for claim in outcome.claims} == {
            "order": "holds",
            "upset": "contradicted",
            "twice": "not judged",
            "alike": "contradicted",
            "later": "not judged",
            "fid": "not judged",
        }
        why = {claim.id: claim.why for claim in outcome.claims}
        assert why["fid"] == "the protocol headline@1 has no fid"
        assert why["later"] == "'Tomorrow' was not run"
        assert why["twice"] == "both rows are the same run"

    def test_rows_that_are_not_run_say_why(self, outcome: Outcome) -> None:
        why = {row.label: row.why for row in outcome.rows if not row.run}
        assert why["Tomorrow"] == "not run here: no method 'of-tomorrow'"
        assert why["Theirs"] == "not run here"
        assert len(why) == 2
        assert outcome.failures == []

    def test_rows_of_one_specification_share_one_run(self, outcome: Outcome) -> None:
        runs = {row.label: row.run for row in outcome.rows}
        assert runs["Noise"] == runs["Noise again"] != runs["Copy"]
        assert len(outcome.runs) == 2

    def test_again_runs_nothing_and_comes_to_the_same(self, boards: Path, tmp_path: Path) -> None:
        table, one = load_table("made-up/table-1"), Asked(limit_subjects=1)
        first = reproduce(table, one)
        logs = {path: path.read_bytes() for path in tmp_path.glob("runs/**/log.jsonl")}
        assert len(logs) == 2
        heard: list[RowOutcome] = []
        again = reproduce(table, one, told=heard.append)
        assert again == first
        assert {path: path.read_bytes() for path in logs} == logs
        assert [row.label for row in heard] == [row.label for row in table.rows]

    def test_the_papers_backbone_and_protocol_are_for_its_own_suite_alone(self) -> None:
        table = load_table("sfo/table-4")
        own, mini, elsewhere = (
            plan_rows(table, asked)[0].plan
            for asked in (Asked(), Asked(backbone="mini"), Asked(suite="mini"))
        )
        assert own and mini and elsewhere
        assert (own.protocol.name, own.backbone) == ("sfo", "flux-dev")
        assert (mini.protocol.name, mini.backbone) == ("mini", "mini")
        assert (elsewhere.protocol.name, elsewhere.backbone) == ("headline", "mini")

    def test_rows_are_guided_as_their_backbone_is(self, boards: Path) -> None:
        planned = plan_rows(load_table("made-up/table-5"), Asked(backbone="sd15", suite="mini"))
        on_mini = plan_rows(load_table("made-up/table-5"), Asked(backbone="mini"))
        rules = [
            [one.plan and one.plan.options.get("rule") for one in rows]
            for rows in (planned, on_mini)
        ]
        own, told, unguided = "pg:scale=7.5,omega=0.6", "cfg:2.0", "none"
        assert rules[0] == [own, told, told, unguided, None]
        assert rules[1] == ["pg:scale=3.0,omega=0.6", told, told, unguided, None]

    def test_a_table_without_any_row_to_run_says_so(self, boards: Path) -> None:
        with pytest.raises(UserError, match="No row of made-up/table-3 is run on a benchmark"):
            reproduce(load_table("made-up/table-3"), FEW)


class TestOutcomes:
    def test_published_figures_stand_beside_measured_ones_as_printed(
        self, outcome: Outcome
    ) -> None:
        page = markdown(outcome)
        run = next(r for r in outcome.runs.values() if r.method == "copy-reference")
        told = run.metrics["dino"]
        assert told.ci95
        here = f"{told.mean:.3f} [{told.ci95[0]:.3f}, {told.ci95[1]:.3f}]"
        assert f"| Copy | 0.900 | {here} | 0.100 |" in page
        assert "| FID ↓, paper |" in page
        assert "| 300.5 | - |" in page
        assert "| Tomorrow | 0.500 | - |" in page
        assert "copied from Hum" in page
        assert "nobody has its weights" in page
        assert f"run {run.identity[:12]} of {run.date}" in page

    def test_mini_weights_and_partial_runs_are_said_before_any_number(
        self, outcome: Outcome
    ) -> None:
        before, _ = markdown(outcome).split("| row |")
        assert "**Mini weights: not comparable with anything outside the mini world.**" in before
        assert "**Partial:" in before

    def test_only_full_outcomes_belong_on_a_board(self, outcome: Outcome, tmp_path: Path) -> None:
        full = {key: run.model_copy(update={"limited": False}) for key, run in outcome.runs.items()}
        assert place(outcome, tmp_path) is None
        whole = outcome.model_copy(update={"runs": full})
        assert place(whole, tmp_path) == tmp_path / "mini/1/reproduced"

    def test_are_read_as_they_were_written(self, outcome: Outcome, tmp_path: Path) -> None:
        path = write_outcome(outcome, tmp_path)
        assert path.name == "made-up-table-1.json"
        assert read_outcome(path) == outcome

    def test_damage_is_one_sentence(self, outcome: Outcome, tmp_path: Path) -> None:
        path = write_outcome(outcome, tmp_path)
        path.write_text(path.read_text().replace('"holds"', '"sort of"'))
        with pytest.raises(UserError, match=r"is no outcome: claims\.0\.verdict"):
            read_outcome(path)

    def test_those_of_earlier_versions_are_read_and_stay_what_they_are(self) -> None:
        kept = sorted((leaderboards_folder() / "mini/1/reproduced").glob("sfo-*.json"))
        assert len(kept) == 3
        for path in kept:
            assert read_outcome(path).model_dump_json(indent=2) + "\n" == path.read_text()


class TestSweeps:
    @pytest.fixture
    def written(self, swept: Outcome, boards: Path) -> Path:
        return write_outcome(swept, boards / "mini/1/reproduced")

    def test_rows_that_the_paper_does_not_have_never_look_published(self, swept: Outcome) -> None:
        page = markdown(swept)
        [line] = [line for line in page.splitlines() if line.startswith("| s=9.0")]
        label, paper, here = line.strip("| ").split(" | ")[:3]
        assert (label, paper) == ("s=9.0 (added here)", "-")
        assert float(here.split()[0]) < 1
        assert "added here: the paper has no such row" in page

    def test_are_drawn_published_beside_measured(self, swept: Outcome) -> None:
        assert swept.drawing
        published, measured = swept.drawing.panels
        assert published.title == "published: made-up/table-4"
        assert measured.title == "measured here: mini@1, mini weights, partial"
        told = {
            panel.title: [[point.label for point in sweep.points] for sweep in panel.sweeps]
            for panel in (published, measured)
        }
        assert told[published.title] == [["1.0", "2.0"], ["2.0"]]
        assert told[measured.title] == [["1.0", "2.0"], ["2.0", "9.0"]]
        point, row = measured.sweeps[0].points[0], swept.measured(swept.rows[0])
        assert row
        assert (point.y, point.y_ci95) == (row.metrics["dino"].mean, row.metrics["dino"].ci95)

    def test_stand_on_the_page_and_beside_it(self, swept: Outcome, written: Path) -> None:
        assert "![A sweep](made-up-table-4.svg)" in markdown(swept)
        assert written.with_suffix(".svg").is_file()

    def test_a_drawing_of_something_else_is_stale_until_it_is_built(
        self, written: Path, boards: Path
    ) -> None:
        build(boards)
        assert check(boards) == []
        path = written.with_suffix(".svg")
        path.write_text("<svg/>")
        assert check(boards) == [f"{path} is stale: run 'bench board build'"]
        build(boards)
        assert check(boards) == []

    def test_drawing_a_table_otherwise_asks_for_no_new_runs(
        self, written: Path, boards: Path
    ) -> None:
        build(boards)
        write_paper(boards, PAPER.replace('label = "by l"', 'label = "by loudness"'))
        assert check(boards) == []


class TestBoard:
    @pytest.fixture
    def written(self, outcome: Outcome, boards: Path) -> Path:
        return write_outcome(outcome, boards / "mini/1/reproduced")

    def test_holds_when_pages_follow_from_outcomes(self, written: Path, boards: Path) -> None:
        assert written.with_suffix(".md") in build(boards)
        assert check(boards) == []

    def test_a_page_that_was_edited_is_stale_until_it_is_built(
        self, written: Path, boards: Path
    ) -> None:
        page = written.with_suffix(".md")
        build(boards)
        page.write_text(page.read_text().replace("contradicted |", "holds |"))
        [problem] = check(boards)
        assert problem == f"{page} is stale: run 'bench board build'"
        build(boards)
        assert check(boards) == []

    def test_a_published_figure_that_was_mended_asks_for_it_again(
        self, written: Path, boards: Path
    ) -> None:
        build(boards)
        write_paper(boards, PAPER.replace("[0.9, 0.1, 20]", "[0.8, 0.1, 20]"))
        [problem] = check(boards)
        assert "the published table has changed since" in problem

    def test_other_words_about_a_table_change_nothing(self, written: Path, boards: Path) -> None:
        build(boards)
        write_paper(boards, PAPER.replace("copies win", "a copy wins"))
        assert check(boards) == []


class TestCommand:
    def test_a_row_that_fails_keeps_the_others_and_is_told_at_the_end(self, boards: Path) -> None:
        done = command("made-up/table-2", "--limit-subjects", "1")
        assert isinstance(done.exception, UserError)
        assert "Unknown option of noise 'loudness'" in str(done.exception)
        assert "Copy" in done.stdout
        assert not (boards / "mini").exists()

    def test_writes_a_partial_outcome_only_where_it_is_told_to(
        self, boards: Path, tmp_path: Path
    ) -> None:
        done = command("made-up/table-1", "--limit-subjects", "1", "--out", str(tmp_path / "there"))
        assert done.exception is None
        assert read_outcome(tmp_path / "there/made-up-table-1.json").limited
        assert not (boards / "mini").exists()
        assert "Mini weights" in done.stdout
        assert "UNDECIDED" in done.stdout

    def test_a_dry_run_counts_shared_runs_once(self, boards: Path, tmp_path: Path) -> None:
        done = command("made-up/table-1", "--dry-run", "--limit-subjects", "1", "--json")
        told = json.loads(done.stdout)
        assert (told["n_runs"], told["n_images"]) == (2, 12)
        assert told["rows"][3] == {
            "row": "Tomorrow",
            "why": "not run here: no method 'of-tomorrow'",
        }
        assert not (tmp_path / "runs").exists()

    def test_lists_every_table_of_every_paper(self) -> None:
        told = {table["table"]: table for table in json.loads(command("--list", "--json").stdout)}
        assert told["sfo/table-2"]["run_here"] == 0
        assert told["sfo/table-4"] == {
            "table": "sfo/table-4",
            "title": "Where the pairs come from",
            "suite": "dreambench",
            "rows": 5,
            "run_here": 5,
            "added_here": 0,
            "command": None,
            "claims": 7,
        }

    def test_lists_rows_that_were_added_apart(self) -> None:
        told = command("--list").stdout
        [line] = [line for line in told.splitlines() if line.startswith("pg/table-9 ")]
        assert "11 of 11 rows run, 6 added;" in line

    def test_without_a_table_it_says_where_to_find_one(self) -> None:
        assert "bench reproduce --list" in str(command().exception)
