"""Published tables: figures as printed, claims that they bear out, errors that say where."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from bench import registry
from bench.errors import UserError
from bench.methods.guidance import Cfg, parse
from bench.options import resolve
from bench.papers import (
    PublishedMetric,
    PublishedRow,
    PublishedTable,
    list_papers,
    load_paper,
    load_table,
    read_paper,
)
from bench.paths import leaderboards_folder
from bench.suites import list_downloads, list_suites
from tests.papers import PAPER, write_paper

SHARED = Path(__file__).parents[1] / "../shared"
SFO_FACTS = SHARED / "facts/sfo-and-ominicontrol.md"
FACTS = SHARED / "facts/siso-guidance-and-per-subject.md"
PG = SHARED / "papers/personalization-guidance.txt"
SFT_BASE, SFO = (0.652, 0.795, 0.329), (0.767, 0.834, 0.324)
TABLES = [table for paper in list_papers() for table in paper.tables]
ids = [table.key for table in TABLES]


def read(path: Path) -> str:
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    return path.read_text(encoding="utf-8")


def values(key: str) -> list[tuple[Any, ...]]:
    return [row.values for row in load_table(key).rows if row.values]


def printed(table: str) -> list[tuple[float, ...]]:
    """The figures that the facts list for a table of the SFO paper, row by row."""
    section = read(SFO_FACTS).split("### 2.2")[1].split("\nRuns needed")[0]
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


def figures(key: str) -> dict[str, dict[str, Any]]:
    """Label to metric to what is printed."""
    table = load_table(key)
    return {
        row.label: dict(zip(table.metrics, row.values, strict=True))
        for row in table.rows
        if row.values
    }


class TestSiso:
    @pytest.mark.parametrize("number", range(1, 7))
    def test_every_figure_stands_as_the_facts_have_it(self, number: int) -> None:
        [line] = re.findall(rf"^T{number} .*$", read(FACTS), flags=re.MULTILINE)
        told = [
            [float(cell) for cell in re.findall(r"(?<![-\d])\d*\.\d+", row)]
            for row in line.split("(all")[0].split(";")
        ]
        cells = [[cell for cell in row if cell != "-"] for row in values(f"siso/table-{number}")]
        assert cells == told

    def test_the_text_tells_some_of_the_figures(self) -> None:
        mse = figures("siso/table-2")
        assert mse["SDXL-Turbo DreamBooth"]["diversity_mse"] == 0.05
        assert mse["SDXL-Turbo SISO"]["diversity_mse"] == 0.11
        edits = figures("siso/table-3")
        assert (edits["TIGIC"]["lpips"], edits["SISO"]["lpips"]) == (0.22, 0.14)
        assert round(edits["SwapAnything"]["fid"], 1) == 185.7
        assert figures("siso/table-5")["w/o BG"]["lpips"] == 0.18
        assert values("siso/table-6") == [(0.45, 0.58, 0.60, "-"), (0.47, 0.65, "-", 0.69)]

    def test_where_the_text_has_another_figure_the_note_says_so(self) -> None:
        edits = figures("siso/table-3")
        assert (edits["SwapAnything"]["dino"], edits["SISO"]["dino"]) == (0.45, 0.55)
        assert "0.55 against 0.80 in DINO" in str(load_table("siso/table-3").note)

    def test_raters_are_claimed_to_be_on_the_side_of_half_where_they_are(self) -> None:
        told = figures("siso/table-6")
        for claim in load_table("siso/table-6").claims:
            asked = next(label for label in claim.sides if label in told)
            assert (told[asked][claim.metric] > 0.5) == (claim.higher == asked), claim.id


class TestPg:
    @pytest.mark.parametrize(
        ("number", "rows", "cell"),
        [
            (1, 14, r"\d\.\d{4}"),
            (2, 22, r"\d\.\d{4}"),
            (3, 9, r"\d+\.\d+(?=%)"),
            (4, 2, r"\d+\.\d+"),
            (5, 2, r"\d\.\d{4}"),
            (6, 10, r"\d\.\d{4}"),
            (7, 12, r"\d\.\d{4}"),
            (8, 4, r"\d,\d{3}(?= MB)|\d+\.\d(?= secs)"),
            *((number, 11, r"\d\.\d{4}") for number in range(9, 14)),
        ],
    )
    def test_every_figure_stands_as_printed(self, number: int, rows: int, cell: str) -> None:
        """A caption stands below its table."""
        above, caption, _ = read(PG).partition(f"\nTable {number}: ")
        told = [value for row in values(f"pg/table-{number}") for value in row]
        found = [float(text.replace(",", "")) for text in re.findall(cell, above)]
        assert caption
        assert len(values(f"pg/table-{number}")) == rows
        assert told == found[-len(told) :]

    def test_spot_checks(self) -> None:
        assert values("pg/table-1")[4] == (0.5024, 0.7510, 0.3288)
        assert values("pg/table-2")[-1] == (0.6166, 0.7896, 0.3246)
        assert figures("pg/table-3")["SANA DB-LoRA Undecided"]["text_votes"] == 85.49
        assert values("pg/table-4") == [(21.53,), (21.58,)]
        assert values("pg/table-5") == [(0.7993,), (0.7344,)]
        assert values("pg/table-8")[1] == (6595.0, 21.2)
        assert figures("pg/table-11")["0.2"] == {"dino": 0.5308, "clip_i": 0.7498, "clip_t": 0.3362}
        assert values("pg/figure-7") == values("pg/figure-9") == []

    def test_the_scale_that_is_misprinted_stands_as_printed_and_is_noted(self) -> None:
        rows = {row.label: row for row in load_table("pg/table-6").rows}
        row = rows["SD 2.1 DB-LoRA + CFG, λ=0.4"]
        assert row.values == values("pg/table-1")[6]
        assert "λ is 7.5" in str(row.note)

    def test_every_row_with_images_of_its_own_is_run(self) -> None:
        """Not raters' answers, what guidance costs, or what needs others' weights."""
        unrun = {table.id for table in load_paper("pg").tables if table.rows != table.runnable}
        assert unrun <= {"table-3", "table-4", "table-5", "table-8"}
        assert "guidance" in str(load_table("pg/table-8").command)

    def test_rows_are_run_on_the_model_and_by_the_method_that_they_name(self) -> None:
        for row in guided_rows():
            assert row.run
            assert (
                row.run.backbone
                == {"SD 1.5": "sd15", "SD 2.1": "sd21", "SANA": "sana"}[str(row.model)]
            )
            named = {"ClassDiffusion": "classdiffusion", "DB-LoRA+TI": "dreambooth-ti"}
            methods = {method for name, method in named.items() if name in row.label}
            assert methods <= {row.run.method}, row.label

    @pytest.mark.parametrize("setting", ["scale", "omega"])
    def test_rows_are_run_at_the_scale_and_omega_that_their_labels_tell(self, setting: str) -> None:
        letter, told = {"scale": "λ", "omega": "ω"}[setting], 0
        for row in guided_rows():
            found = re.search(rf"{letter}=([\d.]+)", row.label)
            if found and row.run and not re.search("AG", row.label) and "λ is" not in str(row.note):
                told += 1
                rule = parse(str(row.run.rule(str(row.run.backbone))))
                assert getattr(rule, setting) == float(found[1]), row.label
        assert told > 10

    @pytest.mark.parametrize("number", range(9, 14))
    def test_the_sweeps_labels_are_omegas(self, number: int) -> None:
        for row in load_table(f"pg/table-{number}").rows:
            rule = parse(str(row.run and row.run.rule(str(row.run.backbone))))
            if row.published and row.label != "1.0":
                assert getattr(rule, "omega", None) == float(row.label)
            else:
                assert isinstance(rule, Cfg)

    def test_on_mini_a_rule_differs_in_its_scale_alone(self) -> None:
        for row in guided_rows():
            assert row.run
            own, mini = (parse(str(row.run.rule(name))) for name in ("sd15", "mini"))
            assert own.model_copy(update={"scale": 0}) == mini.model_copy(update={"scale": 0})

    def test_the_guidance_and_the_options_of_every_row_fit_its_method(self) -> None:
        recipes = [row.run for row in guided_rows() if row.run]
        models = {
            method: registry.load("method", method).Options
            for method in {recipe.method for recipe in recipes}
        }
        for recipe in recipes:
            for backbone in (str(recipe.backbone), "mini"):
                given = {**recipe.options(backbone), "rule": str(recipe.rule(backbone))}
                fitted = resolve(recipe.method, models[recipe.method], {}, given).model_dump()
                assert parse(fitted["rule"]) == parse(given["rule"])
        assert len(models) >= 3

    def test_a_claim_that_goes_against_another_table_is_noted(self) -> None:
        sweep = figures("pg/table-11")
        claims = {claim.id for claim in load_table("pg/figure-7").claims}
        assert "p15-scale-4.5-pg-over-cfg-clip-t" in claims
        assert sweep["0.2"]["clip_t"] < sweep["1.0"]["clip_t"]
        assert "against Table 11" in str(load_table("pg/figure-7").note)


def guided_rows() -> list[PublishedRow]:
    """The rows of PG's tables that say how they are guided."""
    tables = load_paper("pg").tables
    return [row for table in tables for row in table.runnable if row.run and row.run.guidance]


@pytest.mark.parametrize("paper", ["siso", "pg"])
class TestSisoAndPg:
    def test_every_ordering_of_the_facts_is_claimed(self, paper: str) -> None:
        orderings = read(FACTS).split("## 6. Orderings")[1]
        listed = set(re.findall(rf"(?:^|\. )({paper[0].upper()}\d+) ", orderings, re.MULTILINE))
        claims = (claim for table in load_paper(paper).tables for claim in table.claims)
        assert {claim.id.partition("-")[0].upper() for claim in claims} == listed
        assert len(listed) == {"siso": 17, "pg": 16}[paper]

    def test_rows_that_repeat_a_table_have_its_figures(self, paper: str) -> None:
        repeats = 0
        for table in load_paper(paper).tables:
            told = figures(table.key)
            for row in table.rows:
                for source in re.findall(r"repeats (table-\d+)", row.note or ""):
                    repeats += 1
                    assert any(
                        all(
                            told[row.label][name] == other[name]
                            for name in table.metrics
                            if name in other
                        )
                        for other in figures(f"{paper}/{source}").values()
                    ), (table.id, row.label)
        assert repeats > 2

    def test_what_is_called_equal_differs_in_the_last_digits_at_most(self, paper: str) -> None:
        widest = {"siso": 0.0101, "pg": 0.001}[paper]
        for table in load_paper(paper).tables:
            told = figures(table.key)
            for claim in table.claims:
                if claim.equal and told.keys() >= set(claim.equal):
                    one, other = (told[label][claim.metric] for label in claim.equal)
                    assert abs(one - other) <= widest, (table.id, claim.id)


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
            backbones = ("mini", *recipe.on) if recipe else ()
            given = {key for name in backbones for key in recipe.options(name)} if recipe else set()
            if recipe and given and recipe.method in registry.names("method"):
                known = registry.load("method", recipe.method).Options.model_fields
                assert given <= known.keys(), row.label

    def test_figures_are_printed_with_the_digits_that_stand_in_the_file(
        self, table: PublishedTable
    ) -> None:
        path = leaderboards_folder() / f"papers/{table.paper}.toml"
        stated = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)["tables"]
        [literal] = [told["rows"] for told in stated if told["id"] == table.id]
        for row, told in zip(table.rows, literal, strict=True):
            printed = map(PublishedMetric.printed, table.metrics.values(), row.values)
            assert list(printed) == list(map(str, told.get("values", []))), row.label

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
            ('lower = "l=1.0"', 'lower = "s=9.0"', "'sweep' names no printed row: 's=9.0'"),
            ("published = false,", "published = false, values = [1, 1],", "'s=9.0' is not publ"),
            ('y = "dino"', 'y = "fid"', "the curve is about no metric of the table: 'fid'"),
            ('"l=2.0", "s=9.0"]', '"l=2.0", "s=8.0"]', "'by s' names no row of the table: 's=8"),
            ("digits = { dino = 2 }", "digits = { fid = 2 }", "table-4 has the unknown metric"),
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

    def test_what_a_rows_guidance_leaves_open_is_said_once_for_every_backbone(
        self, tmp_path: Path
    ) -> None:
        rows = read_paper(write_paper(tmp_path)).table("table-5").rows
        told = {row.label: row.run for row in rows if row.run}
        rules = {label: (run.rule("sd15"), run.rule("mini")) for label, run in told.items()}
        assert rules == {
            "open": ("pg:scale=7.5,omega=0.6", "pg:scale=3.0,omega=0.6"),
            "told": ("cfg:scale=2.0", "cfg:scale=2.0"),
            "one": ("cfg:2.0", "cfg:2.0"),
            "none": ("none", "none"),
            "its own": (None, None),
        }
        assert told["open"].words("mini") == "text-only under pg:scale=3.0,omega=0.6"
        assert told["open"].rule("sana") == "pg:scale=7.5,omega=0.6"

    def test_a_row_may_say_itself_what_stands_for_its_guidance(self, tmp_path: Path) -> None:
        own = 'guidance = "pg:omega=0.6", guided = { mini = "none" }'
        text = PAPER.replace('guidance = "pg:omega=0.6"', own)
        [row, *_] = read_paper(write_paper(tmp_path, text)).table("table-5").rows
        assert row.run
        assert row.run.rule("mini") == "none"

    def test_figures_have_the_tables_digits_and_are_never_rounded(self, tmp_path: Path) -> None:
        table = read_paper(write_paper(tmp_path)).table("table-4")
        figures = [table.metrics["dino"].printed(row.values[0]) for row in table.rows if row.values]
        assert figures == ["0.50", "0.6125", "0.90"]
        assert table.metrics["clip_t"].printed("-") == "-"

    def test_the_example_of_the_documentation_is_a_paper(self, tmp_path: Path) -> None:
        page = (Path(__file__).parents[1] / "docs/reproduce.md").read_text(encoding="utf-8")
        [example] = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
        paper = write_paper(tmp_path, f'title = "Yours"\nsource = "you"\n{example}')
        rows = {row.label: row for row in read_paper(paper).table("table-7").rows}
        tuned = rows["Tuned"].run
        assert tuned
        assert tuned.rule("sdxl") == "cfg:scale=5.0"
        assert not rows["Tuned, λ=2"].published

    def test_names_that_nothing_answers_to_bring_the_nearest(self) -> None:
        with pytest.raises(UserError, match="did you mean sfo"):
            load_table("sfoo/table-1")
        with pytest.raises(UserError, match="did you mean table-4"):
            load_table("sfo/tabel-4")
        with pytest.raises(UserError, match="PAPER/TABLE"):
            load_table("sfo")
