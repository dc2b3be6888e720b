"""Sweeps: found among runs by what alone differs, and drawn as likeness against prompt."""

from pathlib import Path
from typing import Any

import pytest

from bench.report.sweeps import draw_sweeps, find_sweeps
from bench.report.together import Together, read_together
from tests.report.runs import write_run


def together(folder: Path, *options: dict[str, Any]) -> Together:
    """Runs of one method with these options."""
    return read_together(
        [
            write_run(folder / str(number), "a", subjects=2, options=told)
            for number, told in enumerate(options)
        ]
    )


@pytest.mark.parametrize(
    ("rules", "setting"),
    [
        (("pg:scale=3.0,omega=1.0", "pg:scale=3.0,omega=0.0"), "pg omega"),
        (("cfg:7.5", "cfg:3.0"), "cfg"),
        (("cfg+ag:scale=3.0,ag=2.0", "cfg+ag:scale=3.0,ag=1.0"), "cfg+ag ag"),
    ],
)
def test_a_number_of_the_guidance_may_differ(
    tmp_path: Path, rules: tuple[str, ...], setting: str
) -> None:
    [found] = find_sweeps(together(tmp_path, *({"rule": rule} for rule in rules)).entries)
    assert found.setting == setting
    assert [value for value, _ in found.runs] == sorted(value for value, _ in found.runs)
    assert [entry.label for _, entry in found.runs] == [f"a, {rule}" for rule in reversed(rules)]


def test_a_numeric_option_may_differ(tmp_path: Path) -> None:
    betas = together(tmp_path, *({"beta": beta, "lr": 1} for beta in (1000, 10, 100)))
    [found] = find_sweeps(betas.entries)
    assert (found.setting, [value for value, _ in found.runs]) == ("beta", [10, 100, 1000])


@pytest.mark.parametrize(
    "options",
    [
        ({"beta": 1, "lr": 1}, {"beta": 2, "lr": 2}),
        ({"seed": 0}, {"seed": 1}),
        ({"text": "none"}, {"text": "generic"}),
        ({"retrain": False}, {"retrain": True}),
        ({"rule": "cfg:3.0"}, {"rule": "pg:scale=3.0,omega=0.5"}),
        ({"beta": 1}, {"beta": 1}),
    ],
)
def test_other_runs_form_none(tmp_path: Path, options: tuple[dict[str, Any], ...]) -> None:
    shown = together(tmp_path, *options)
    assert find_sweeps(shown.entries) == []
    assert draw_sweeps(shown) == {}


def test_whatever_else_differs_makes_lines_of_one_panel(tmp_path: Path) -> None:
    rules = (f"pg:scale={scale},omega={omega}" for scale in (3.0, 7.5) for omega in (0.0, 1.0))
    shown = together(tmp_path, *({"rule": rule} for rule in rules))
    told = draw_sweeps(shown)
    assert set(told) == {"pg scale", "pg omega"}
    drawing = told["pg omega"]
    [panel] = drawing.panels
    assert (drawing.x, drawing.y) == ("clip_t ↑", "dino ↑")
    assert [line.label for line in panel.sweeps] == ["a, pg scale=3.0", "a, pg scale=7.5"]
    for line, entries in zip(panel.sweeps, (shown.entries[:2], shown.entries[2:]), strict=True):
        assert [point.label for point in line.points] == ["0", "1"]
        told_metrics = [entry.result.metrics for entry in entries]
        assert [point.y for point in line.points] == [m["dino"].mean for m in told_metrics]
        assert [point.x_ci95 for point in line.points] == [m["clip_t"].ci95 for m in told_metrics]


def test_more_lines_than_colours_take_more_panels(tmp_path: Path) -> None:
    options = ({"lr": lr, "beta": beta} for lr in range(5) for beta in (1, 2))
    panels = draw_sweeps(together(tmp_path, *options))["beta"].panels
    assert [len(panel.sweeps) for panel in panels] == [4, 1]
