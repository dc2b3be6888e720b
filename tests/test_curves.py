"""Curves: what is drawn follows from the table and the runs, and a file says what it is of."""

from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bench.curves import (
    COLOURS,
    Drawing,
    Line,
    Panel,
    Point,
    Sweep,
    drawing,
    is_of,
    last_word,
    svg,
    write_curve,
)
from bench.papers import load_table
from bench.stats import Estimate

TEXT = "{http://www.w3.org/2000/svg}text"


def sweep(label: str, *places: tuple[float, float], place: int = 0) -> Sweep:
    points = (Point(label=f"{label}{n}", x=x, y=y) for n, (x, y) in enumerate(places))
    return Sweep(label=label, place=place, points=tuple(points))


def drawn(*sweeps: Sweep, title: str = "here") -> Drawing:
    return Drawing(x="CLIP-T ↑", y="DINO ↑", panels=(Panel(title=title, sweeps=sweeps),))


def words(told: Drawing) -> list[str]:
    """What is written in a drawing."""
    return [text.text or "" for text in ElementTree.fromstring(svg(told)).iter(TEXT)]


def estimate(mean: float) -> Estimate:
    return Estimate(mean=mean, ci95=(mean - 0.25, mean + 0.25), n=4, n_subjects=2)


APART = drawn(
    sweep("a", (0.1, 0.1), (0.5, 0.5), (0.9, 0.9)), sweep("b", (0.1, 0.8), (0.6, 0.9), place=1)
)


def test_a_line_says_after_by_along_what_it_runs() -> None:
    told = [Line(label=label, rows=("1", "2")) for label in ("Ours (ω=0), by λ", "CFG")]
    assert [(line.name, line.setting) for line in told] == [("Ours (ω=0)", "λ"), ("CFG", "")]


def test_a_point_is_named_by_the_last_word_of_its_row() -> None:
    rows = ("0.6", "CFG, λ=2.0", "SD 1.5 + CFG, rank 8")
    assert [last_word(row) for row in rows] == ["0.6", "2.0", "8"]


class TestWhatIsDrawn:
    def test_a_published_sweep_has_every_figure_and_stands_alone_where_nothing_was_run(
        self,
    ) -> None:
        told = drawing(load_table("pg/table-9"), {}, "mini@1")
        assert told
        [panel] = told.panels
        [line] = panel.sweeps
        assert [point.label for point in line.points] == [f"{n / 10}" for n in range(11)]
        assert (line.points[6].x, line.points[6].y) == (0.3288, 0.5024)
        assert (told.x, told.y) == ("CLIP-T ↑", "DINO ↑")

    def test_what_was_measured_stands_beside_it_with_its_intervals(self) -> None:
        shown = {
            label: {"dino": estimate(0.5), "clip_t": estimate(0.75)}
            for label in ("0.0", "1.0", "CFG, λ=5.0")
        }
        told = drawing(load_table("pg/table-9"), shown, "mini@1")
        assert told
        assert [panel.title for panel in told.panels] == [
            "published: pg/table-9",
            "measured here: mini@1",
        ]
        omegas, scales = told.panels[1].sweeps
        assert [point.label for point in omegas.points] == ["0.0", "1.0"]
        [point] = scales.points
        assert (point.label, point.x_ci95, point.y_ci95) == ("5.0", (0.5, 1.0), (0.25, 0.75))
        assert scales.place == 1

    def test_figures_that_are_only_plotted_have_no_panel(self) -> None:
        table = load_table("pg/figure-7")
        both = {"dino": estimate(0.5), "clip_t": estimate(0.3)}
        told = drawing(table, {row.label: both for row in table.rows}, "vico@1")
        assert told
        assert [panel.title for panel in told.panels] == ["measured here: vico@1"]
        assert [len(line.points) for line in told.panels[0].sweeps] == [6, 6, 6]

    def test_nothing_is_drawn_where_there_is_nothing(self) -> None:
        assert drawing(load_table("pg/figure-7"), {}, "mini@1") is None
        assert drawing(load_table("pg/table-1"), {}, "mini@1") is None
        lacking = {"0.0": {"dino": estimate(0.5)}}
        assert drawing(load_table("pg/table-9"), lacking, "mini@1") == drawing(
            load_table("pg/table-9"), {}, "mini@1"
        )


class TestSvg:
    def test_names_axes_lines_and_points(self) -> None:
        assert {"here", "CLIP-T ↑", "DINO ↑", "a", "b"} <= set(words(APART))
        assert {"a0", "a1", "a2", "b0", "b1"} <= set(words(APART))

    def test_every_line_has_its_own_colour(self) -> None:
        text = svg(APART).lower()
        assert COLOURS[0].lower() in text
        assert COLOURS[1].lower() in text
        assert len(set(COLOURS)) == len(COLOURS)

    def test_names_stand_beside_each_other_where_points_are_close(self) -> None:
        assert {"p0", "p1", "p2"} <= set(words(drawn(sweep("p", (0, 0), (0.01, 0), (1, 1)))))

    def test_in_a_crowd_ends_are_named_and_names_that_would_cover_others_are_left_out(self) -> None:
        crowd = sweep("p", *((n / 1000, 0) for n in range(9)), (1, 1))
        named = {word for word in words(drawn(crowd)) if word[:1] == "p" != word}
        assert {"p0", "p9"} < named < {f"p{n}" for n in range(10)}

    def test_the_same_drawing_is_the_same_text(self) -> None:
        assert svg(APART) == svg(APART)

    def test_intervals_are_drawn_where_there_are_any(self) -> None:
        point = Point(label="1", x=0.5, y=0.5, x_ci95=(0.4, 0.6), y_ci95=(0.3, 0.7))
        barred = Sweep(label="a", place=0, points=(point,))
        bare = Sweep(label="a", place=0, points=(Point(label="1", x=0.5, y=0.5),))
        assert svg(drawn(barred)).count("LineCollection") == 2
        assert "LineCollection" not in svg(drawn(bare))


class TestFiles:
    def test_a_file_says_what_it_is_of(self, tmp_path: Path) -> None:
        path = write_curve(APART, tmp_path / "curve.svg")
        assert is_of(path, APART)
        assert not is_of(path, drawn(sweep("a", (0, 0), (1, 1))))
        assert not is_of(tmp_path / "other.svg", APART)

    def test_a_drawing_of_another_matplotlib_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = write_curve(APART, tmp_path / "curve.svg")
        path.write_text(path.read_text() + "<!-- by another version -->")
        before = path.read_bytes()
        assert write_curve(APART, path).read_bytes() == before

    @given(st.floats(0, 1, exclude_min=True))
    def test_any_other_figure_is_another_drawing(self, moved: float) -> None:
        assert drawn(sweep("a", (0, moved))).mark != drawn(sweep("a", (0, 0))).mark
