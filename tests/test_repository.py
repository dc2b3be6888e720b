"""The tree keeps its promises: where code lies, what ships, how heavy it is."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = {
    "bench": "bench",
    "methods": "bench/methods",
    "metrics": "bench/metrics",
    "datasets": "bench/_data/datasets",
    "leaderboards": "bench/_data/leaderboards",
}


@pytest.mark.parametrize("folder", ["datasets", "leaderboards"])
def test_data_folders_hold_no_python(folder: str) -> None:
    assert list((ROOT / folder).rglob("*.py")) == []


def test_the_mini_worlds_weights_stay_under_12_megabytes() -> None:
    weights = list((ROOT / "bench/mini/weights").glob("*.safetensors"))
    assert {path.stem for path in weights} >= {"mini-base", "mini-sft", "mini-dino", "mini-clip"}
    assert sum(path.stat().st_size for path in weights) <= 12_000_000


def tracked() -> set[str]:
    """Files that belong into the wheel, by their names there."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", *SHIPPED], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip("this is no git checkout")
    names = set()
    for name in done.stdout.splitlines():
        top, _, rest = name.partition("/")
        names.add(f"{SHIPPED[top]}/{rest}")
    return names


def test_the_wheel_holds_every_file_of_the_tree(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == tracked()
