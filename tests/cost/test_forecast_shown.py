"""What people read of a dry run: figures in units that they know, and no row without work."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.commands.forecast import duration, operations, show, show_all, size
from bench.cost.devices import Device
from bench.cost.dry_run import describe, describe_all
from bench.plan import Request, make_plan
from tests.cost.dry_runs import at_home, plan_of

H100 = Device("H100", 80e9)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    with at_home(tmp_path):
        yield tmp_path


def rows(text: str) -> dict[str, list[str]]:
    """Cells of a table by the first of their row."""
    cells = (re.split(r"\s{2,}", line.strip()) for line in text.splitlines())
    return {first: rest for first, *rest in cells if rest}


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (None, "?"),
        (0, "0"),
        (1234.0, "1.2 TB"),
        (12.3, "12 GB"),
        (0.123, "123 MB"),
        (2e-8, "0.02 kB"),
    ],
)
def test_sizes_are_said_in_units_of_their_own(figure: float | None, said: str) -> None:
    assert size(figure) == said


def test_times_and_operations_are_said_so_too() -> None:
    assert [duration(hours) for hours in (100, 30, 2.5, 0.2, 0.001)] == [
        *("4.2 days", "30 h", "2.5 h", "12 min", "3.6 s")
    ]
    assert [operations(figure) for figure in (23000, 3.16, 0.5)] == [
        *("23 EFLOP", "3.2 PFLOP", "500 TFLOP")
    ]


def test_one_run_is_told_by_what_is_left(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(describe(plan_of("sfo"), workers=4, device=H100))
    printed = capsys.readouterr().out
    assert printed.splitlines()[:2] == [
        "sfo on mini@1 (headline@1) with mini: 2 subjects, 12 images",
        "There is no run of it yet.",
    ]
    told = rows(printed)
    assert told["images to train on"][0] == "4"
    assert told["trainings"][0] == "1"
    assert told["images to draw"][0] == told["images to score"][0] == "12"
    assert told["images to score"][-1] == "?"
    assert re.search(r"^Time: \S+ \S+ with 4 workers$", printed, re.M)
    assert re.search(r"^Memory: .*; H100 has 80 GB$", printed, re.M)
    assert re.search(r"^Disk: .* free \(.*home/cache, runs/mini@1\)$", printed, re.M)
    assert printed.count("\n  ") >= 5  # assumptions


def test_a_finished_run_is_told_in_three_lines(
    fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = describe(plan_of("dreambooth"))
    done = {**told["done"], "run": "runs/own", "images": 12, "scored": True, "kept_trainings": 1}
    show({**told, "done": done, "left": dict.fromkeys(told["left"], 0)})
    assert capsys.readouterr().out.splitlines()[1:] == [
        "runs/own has 12 of 12 images, scored; other runs have kept 1 of its trainings.",
        "Nothing is left to do.",
    ]


def test_what_does_not_fit_is_said(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(Request(method="sfo", suite="dreambench", backbone="flux-dev"))
    show(describe(plan, device=Device("NVIDIA L4", 24e9)))
    assert "! The backbone's weights alone take about 33.7 GB" in capsys.readouterr().out


def test_several_runs_are_told_apart_and_summed(
    fresh: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = [plan_of("dreambooth", guidance=rule) for rule in ("cfg:3", "cfg:4")]
    show_all(describe_all([(plan, None) for plan in plans], device=H100))
    printed = capsys.readouterr().out
    told = rows(printed)
    [first, second, whole] = [cells for name, cells in told.items() if re.match("dream|all", name)]
    assert (first[:2], second[:2], whole[:2]) == (["2", "12"], ["0", "12"], ["2", "24"])
    assert sum("cfg" in name for name in told) == 2
    assert "Shared: 2 trainings or sets of pairs that other runs of these make" in printed
