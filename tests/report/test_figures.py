"""Figures: every one as PDF and as SVG, from the runs' own numbers."""

from pathlib import Path
from xml.etree import ElementTree

from bench.report.figures import write_figures
from bench.report.together import read_together
from tests.report.runs import write_run

TEXT = "{http://www.w3.org/2000/svg}text"


def test_means_histograms_and_sweeps_are_drawn_in_both_formats(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / str(beta), "a", options={"beta": beta, "text": "$x_1$ & <b>"})
        for beta in (10, 100)
    ]
    other = write_run(tmp_path / "b", "a", options={"beta": 10, "text": "$y$ <i>"})
    figures = write_figures(read_together([*runs, other]), tmp_path / "figures")
    names = [figure.name for figure in figures]
    assert names == ["sweep-1", "means", "histogram-dino", "histogram-clip_t"]
    for name in names:
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF-")
        svg = ElementTree.parse(tmp_path / "figures" / f"{name}.svg")
        words = " ".join(text.text or "" for text in svg.iter(TEXT))
        assert "$x_1$ & <b>" in words or name == "sweep-1"


def test_the_same_runs_give_the_same_files(tmp_path: Path) -> None:
    shown = read_together([write_run(tmp_path / "a", "a")])
    one, other = tmp_path / "one", tmp_path / "other"
    assert write_figures(shown, one) == write_figures(shown, other)
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {
        p.name: p.read_bytes() for p in other.iterdir()
    }
