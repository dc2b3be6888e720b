"""Drawings: where numbers and names lie."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.results import read_measured, read_result, write_result
from bench.site.plots import Scale, bar, spread, tradeoffs
from bench.standings import sections

MakeRun = Callable[..., Path]
NUMBERS = st.floats(-1e3, 1e3)


@given(low=NUMBERS, width=st.floats(1e-3, 1e3))
def test_ticks_are_few_distinct_and_inside(low: float, width: float) -> None:
    scale = Scale(low, low + width, 0, 100)
    places, texts = zip(*scale.ticks, strict=True)
    assert 2 <= len(places) <= 8
    assert len(set(texts)) == len(texts)
    assert min(places) >= 0 and max(places) <= 100


def test_ticks_are_round() -> None:
    assert [text for _, text in Scale(0.76, 0.83, 0, 100).ticks] == ["0.76", "0.78", "0.80", "0.82"]
    assert [text for _, text in Scale(0, 1, 100, 0).ticks] == [
        "0.0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1.0",
    ]


@given(st.lists(st.floats(0, 100), max_size=6))
def test_names_never_cover_each_other_and_keep_their_order(wanted: list[float]) -> None:
    places = spread(wanted, 15, 0, 100)
    ordered = sorted(places)
    assert all(b - a >= 14.8 for a, b in pairwise(ordered))
    assert all(0 <= place <= 100 for place in places)
    pairs = [
        (a, b) for a in zip(wanted, places, strict=True) for b in zip(wanted, places, strict=True)
    ]
    assert all(one[1] < other[1] for one, other in pairs if one[0] < other[0])


def test_names_with_room_stay_where_they_are_wanted() -> None:
    assert spread([80.0, 20.0, 50.0], 15, 0, 100) == [80.0, 20.0, 50.0]


class TestBar:
    SCALE = Scale(0.4, 0.8, 0, 100)

    def test_an_interval_lies_on_the_columns_scale(self, make_run: MakeRun) -> None:
        told = read_measured(make_run("sfo")).result.metrics["dino"]
        drawn = bar(told.model_copy(update={"mean": 0.6, "ci95": (0.5, 0.7)}), self.SCALE)
        assert (drawn.left, drawn.middle, drawn.right) == (25.0, 50.0, 75.0)
        assert not drawn.outside

    def test_what_lies_beyond_the_scale_is_at_its_end(self, make_run: MakeRun) -> None:
        told = read_measured(make_run("sfo")).result.metrics["dino"]
        drawn = bar(told.model_copy(update={"mean": 0.95, "ci95": (0.9, 1.0)}), self.SCALE)
        assert drawn.outside and drawn.middle == 100.0


class TestTradeoffs:
    @staticmethod
    def of(*runs: Path) -> list[tuple[str, list[str], list[str]]]:
        """Title, the best marks and the lines of every drawing."""
        [section] = sections(map(read_measured, runs))
        return [
            (
                plot.title,
                [mark.label for mark in plot.marks if mark.best],
                [rule.label.split()[0] for rule in plot.rules],
            )
            for plot in tradeoffs(section)
        ]

    @staticmethod
    def run(make_run: MakeRun, name: str, dino: float, clip_t: float) -> Path:
        """A run with these means; clip_t reads the prompt."""
        folder = make_run(name)
        told = read_result(folder / "row.json")
        metrics = {
            "dino": told.metrics["dino"].model_copy(update={"mean": dino}),
            "clip_t": told.metrics["clip_t"].model_copy(
                update={"mean": clip_t, "references": "none"}
            ),
        }
        write_result(told.model_copy(update={"metrics": metrics}), folder / "row.json")
        return folder

    def test_the_best_are_those_that_none_beats_in_both(self, make_run: MakeRun) -> None:
        places = {"faithful": (0.8, 0.2), "obedient": (0.5, 0.4), "beaten": (0.5, 0.3)}
        runs = [self.run(make_run, name, *place) for name, place in places.items()]
        [(title, best, lines)] = self.of(*runs)
        assert (title, best, lines) == ("Methods alone", ["faithful r1", "obedient r1"], [])

    def test_anchors_are_lines(self, make_run: MakeRun) -> None:
        runs = [self.run(make_run, name, 0.5, 0.3) for name in ("sfo", "oracle", "noise")]
        whole, close = self.of(*runs)
        assert sorted(whole[2]) == ["noise", "oracle"]
        assert close == ("Methods alone", ["sfo r1"], [])

    def test_equals_are_both_best(self, make_run: MakeRun) -> None:
        runs = [self.run(make_run, name, 0.5, 0.3) for name in ("one", "two")]
        [(_, best, _)] = self.of(*runs)
        assert sorted(best) == ["one r1", "two r1"]

    @pytest.mark.parametrize("references", ["all", "none"])
    def test_nothing_is_drawn_without_both_kinds_of_metric(
        self, make_run: MakeRun, references: str
    ) -> None:
        assert self.of(make_run("sfo", definition={"references": references})) == []
