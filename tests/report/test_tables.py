"""Tables: the runs' own numbers, and text that stays text in every format."""

import csv
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.report.tables import as_latex, as_markdown, write_tables
from bench.report.together import Together, read_together
from tests.report.runs import write_run


def two_runs(folder: Path) -> Together:
    return read_together([write_run(folder / n, n, level) for n, level in (("a", 0.4), ("b", 0.6))])


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_holds_every_number_in_full(tmp_path: Path) -> None:
    shown = two_runs(tmp_path)
    write_tables(shown, tmp_path)
    told = {(row["method"], row["metric"]): row for row in records(tmp_path / "scores.csv")}
    for entry in shown.entries:
        for name, metric in entry.result.metrics.items():
            row = told[entry.label, name]
            assert metric.ci95
            assert (float(row["mean"]), float(row["low"])) == (metric.mean, metric.ci95[0])
    [row, _] = records(tmp_path / "differences.csv")
    assert float(row["difference"]) == shown.differences["b"]["dino"].difference


def test_rows_hold_every_image_of_every_run(tmp_path: Path) -> None:
    shown = two_runs(tmp_path)
    write_tables(shown, tmp_path)
    rows = records(tmp_path / "rows.csv")
    assert len(rows) == 2 * len(shown.cases)
    for row in rows:
        [entry] = [entry for entry in shown.entries if entry.label == row["method"]]
        key = row["subject"], int(row["prompt_index"]), int(row["seed"])
        assert float(row["clip_t"]) == entry.values["clip_t"][key]


def test_printed_numbers_have_their_intervals(tmp_path: Path) -> None:
    shown = two_runs(tmp_path)
    write_tables(shown, tmp_path)
    told = shown.first.result.metrics["dino"]
    assert told.ci95
    printed = "{:.3f} [{:.3f}, {:.3f}]".format(told.mean, *told.ci95)
    assert printed in (tmp_path / "scores.md").read_text()
    assert printed.replace("[", "{[}") in (tmp_path / "scores.tex").read_text()


def test_one_run_differs_from_none(tmp_path: Path) -> None:
    files = write_tables(read_together([write_run(tmp_path / "a", "a")]), tmp_path)
    assert files == ["rows.csv", "scores.csv", "scores.md", "scores.tex"]


def test_markdown_takes_no_text_for_markup() -> None:
    text = as_markdown([["method", "x"], ["a|b<script>", "1"]])
    assert text.splitlines()[2] == "| a\\|b&lt;script> | 1 |"


def test_latex_takes_no_text_for_commands() -> None:
    text = as_latex([["clip_t ↑", "50 %"], ["a\\b & {c}", "$1"]])
    assert r"clip\_t $\uparrow$ & 50 \% \\" in text
    assert r"a\textbackslash{}b \& \{c\} & \$1 \\" in text


@given(st.text())
def test_any_text_fills_one_cell(text: str) -> None:
    line = as_latex([["head", "x"], [text, "1"]]).split("\\midrule\n")[1]
    unescaped = line.replace("\\\\\n", "").replace("\\&", "").replace("\\%", "")
    assert unescaped.count("&") == 1
    assert "%" not in unescaped
