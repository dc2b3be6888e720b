"""`bench bench` measures this machine, tells it, and keeps it for dry runs."""

from pathlib import Path

from bench.cost.throughput import read
from tests.commands import here, json_here, refusal_here

QUICK = ("bench", "--seconds", "0", "--encoder", "mini-dino")


def test_mini_is_measured_unless_told_otherwise_and_kept(tmp_path: Path) -> None:
    told = json_here(*QUICK, home=tmp_path)
    assert [(speed["kind"], speed["name"]) for speed in told["measured"]] == [
        ("backbone", "mini"),
        ("encoder", "mini-dino"),
    ]
    assert Path(told["file"]) == tmp_path / "cache" / "throughput.json"
    assert [speed.model_dump(mode="json") for speed in read(tmp_path / "cache")] == told["measured"]


def test_people_are_told_a_line_for_each_figure(tmp_path: Path) -> None:
    lines = here(*QUICK, home=tmp_path).stdout.splitlines()
    assert lines[0].startswith("backbone mini on ") and lines[0].endswith("(float32)")
    assert [line.split("  ")[1] for line in lines if line.startswith("  ")] == [
        "a pass of the network",
        "a pass with a reference",
        "a training pass, forth and back",
        "an image, beside its passes",
        "an image, as PNG",
        "an image looked at",
    ]
    assert str(tmp_path / "cache" / "throughput.json") in lines[-1]


def test_what_nobody_knows_or_is_not_here_is_said_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    assert "Unknown backbone 'minni'" in refusal_here("bench", "--backbone", "minni", home=tmp_path)
    assert "weights fetch sd15" in refusal_here("bench", "--backbone", "sd15", home=tmp_path)
    assert list(tmp_path.rglob("throughput.json")) == []
