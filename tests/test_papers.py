"""Published tables: figures as printed, claims that they bear out, errors that say where."""

import re
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.errors import UserError
from bench.papers import PublishedTable, list_papers, load_paper, load_table, read_paper
from bench.suites import list_downloads, list_suites
from tests.papers import PAPER, write_paper

FACTS = Path(__file__).parents[1] / "../shared/facts/sfo-and-ominicontrol.md"
SFT_BASE, SFO = (0.652, 0.795, 0.329), (0.767, 0.834, 0.324)
TABLES = [table for paper in list_papers() for table in paper.tables]
ids = [table.key for table in TABLES]


def values(key: str) -> list[tuple[Any, ...]]:
    return [row.values for row in load_table(key).rows if row.values]


def printed(table: str) -> list[tuple[float, ...]]:
    """The figures that the facts list for a table of the SFO paper, row by row."""
    if not FACTS.is_file():
        pytest.skip("the facts are not here")
    section = FACTS.read_text(encoding="utf-8").split("### 2.2")[1].split("\nRuns needed")[0]
    [lines] = re.findall(rf"^{table}[ :].*(?:\n .*)*", section, flags=re.MULTILINE)
    number = r"\d*\.\d+"
    cells = rf"{number}(?:[/|]{number}){{2,5}}"
    return [tuple(map(float, re.split("[/|]", found))) for found in re.findall(cells, lines)]


class TestSfo:
    @pytest.mark.parametrize(
        ("table", "name"),
        [
            ("table-1", "T1"),
            ("table-2", "T2"),
            ("table-3", "T3"),
            ("table-4", "T4"),
            ("table-5", "T5"),
            ("table-6", "T6"),
            ("table-b", "TB"),
            ("table-c", "TC"),
            ("table-d", "TD"),
            ("table-g", "TG"),
        ],
    )
    def test_every_figure_stands_as_printed(self, table: str, name: str) -> None:
        assert len(printed(name)) > 1
        assert values(f"sfo/{table}") == printed(name)

    @pytest.mark.parametrize(
        ("table", "name", "before", "after"),
        [
            ("table-a", "TA", [], [SFO]),
            ("table-e", "TE", [SFT_BASE], [SFO]),
            ("table-f", "TF", [SFT_BASE], []),
        ],
    )
    def test_rows_that_repeat_another_table_stand_where_they_are_printed(
        self, table: str, name: str, before: list[Any], after: list[Any]
    ) -> None:
        assert values(f"sfo/{table}") == [*before, *printed(name), *after]

    def test_spot_checks(self) -> None:
        assert values("sfo/table-1")[7] == (0.760, 0.835, 0.304)
        assert values("sfo/table-2")[3] == (56.0, 9.0, 35.0, 51.8, 20.1, 28.1)
        assert values("sfo/table-3") == [(0.521, 0.726, 0.308), (0.656, 0.785, 0.296)]
        assert values("sfo/table-4")[3] == (0.685, 0.799, 0.326)
        assert values("sfo/table-6")[1] == (0.641, 0.790, 0.330)
        assert values("sfo/table-e")[0] == values("sfo/table-e")[1] == SFT_BASE

    def test_what_is_only_plotted_has_no_figures(self) -> None:
        assert values("sfo/figure-b") == values("sfo/figure-f") == []
        assert values("sfo/figure-a") == [(0.55,)]

    def test_rows_that_were_taken_over_say_from_where(self) -> None:
        copied = {row.label: row.copied_from for row in load_table("sfo/table-1").rows}
        assert "lambda-ECLIPSE" in str(copied["IP-Adapter"])
        assert copied["SFO"] is None
        assert "RPO" in str(load_table("sfo/table-a").rows[0].copied_from)

    def test_what_the_methods_default_to_is_what_the_paper_calls_its_own(self) -> None:
        """Rows with the paper's best figures are runs without any option."""
        for table in load_paper("sfo").tables:
            for row in table.runnable:
                if row.values == SFO and row.run:
                    assert row.run.words("flux-dev") == "sfo", (table.id, row.label)


@pytest.mark.parametrize("table", TABLES, ids=ids)
class TestEveryTable:
    def test_figures_do_not_go_against_the_claims_that_are_made_of_them(
        self, table: PublishedTable
    ) -> None:
        rows = {row.label: row for row in table.rows}
        column = {metric: number for number, metric in enumerate(table.metrics)}
        for claim in table.claims:
            one, other = (
                rows[label].values[column[claim.metric]] if rows[label].values else "-"
                for label in claim.sides
            )
            if isinstance(one, float) and isinstance(other, float):
                assert abs(one - other) < 0.02 if claim.equal else one > other, claim.id

    def test_recipes_name_options_that_their_methods_have(self, table: PublishedTable) -> None:
        for row in table.runnable:
            recipe = row.run
            given = recipe.options("mini") if recipe else {}
            if recipe and given and recipe.method in registry.names("method"):
                known = registry.load("method", recipe.method).Options.model_fields
                assert given.keys() <= known.keys(), row.label

    def test_suites_exist(self, table: PublishedTable) -> None:
        known = {suite.name for suite in list_suites()}
        known |= {key.partition("@")[0] for key in list_downloads()}
        assert table.suite is None or table.suite in known


class TestReading:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ('higher = "Copy", lower = "Noise" }', 'higher = "Copi", lower = "Noise" }', "'Copi'"),
            ('metric = "fid"', 'metric = "kid"', "the claim 'fid' is about no metric"),
            ('metrics = ["dino", "clip_t", "fid"]', 'metrics = ["dyno"]', "metric 'dyno'"),
            ("[0.4, 0.4, 60]", "[0.4, 60]", "'Theirs' has 2 values for 3 metrics"),
            ('label = "Theirs"', 'label = "Noise"', "the row 'Noise'"),
            ('id = "later"', 'id = "fid"', "the claim 'fid'"),
            ('id = "table-2"', 'id = "table-1"', "the table 'table-1'"),
            ('equal = ["Noise", "Copy"]', 'higher = "Copy"', "'higher' and 'lower', or 'equal'"),
            ('lower = "Copy" }', 'lower = "Copy", equal = ["Noise", "Copy"] }', "or 'equal'"),
            ("[0.4, 0.4, 60]", '[0.4, "n/a", 60]', "tables.0.rows.4.values.1"),
            ('note = "made up"', 'remark = "made up"', "tables.0.remark"),
            ("[metrics]", "[metric]", "metrics"),
            ("[metrics]", "[metrics", "cannot be read"),
        ],
    )
    def test_what_is_wrong_is_said_with_file_and_place(
        self, tmp_path: Path, old: str, new: str, expected: str
    ) -> None:
        assert old in PAPER
        path = write_paper(tmp_path, PAPER.replace(old, new))
        with pytest.raises(UserError, match=re.escape(expected)) as raised:
            read_paper(path)
        assert str(path) in str(raised.value)

    def test_options_are_written_as_on_the_command_line(self, tmp_path: Path) -> None:
        recipe = "set = { retrain = true, sft_rank = 8 }, on = { mini = { pool = 12 } }"
        text = PAPER.replace("set = { loudness = 11 }", recipe)
        row = read_paper(write_paper(tmp_path, text)).table("table-2").rows[0]
        assert row.run
        assert row.run.words("flux-dev") == "noise retrain=true sft_rank=8"
        assert row.run.options("mini") == {"retrain": "true", "sft_rank": "8", "pool": "12"}

    def test_names_that_nothing_answers_to_bring_the_nearest(self) -> None:
        with pytest.raises(UserError, match="did you mean sfo"):
            load_table("sfoo/table-1")
        with pytest.raises(UserError, match="did you mean table-4"):
            load_table("sfo/tabel-4")
        with pytest.raises(UserError, match="PAPER/TABLE"):
            load_table("sfo")
