"""The tree keeps its promises: where code lies, what ships, how heavy it is."""

import shutil
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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The tracked files alone, so that nothing left by an earlier build gets in."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / "tree" / name)
    return tmp_path / "tree"


def test_the_wheel_holds_every_file_of_the_tree(tree: Path, tmp_path: Path) -> None:
    files = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    belonging = {
        f"{SHIPPED[path.parts[0]]}/{Path(*path.parts[1:]).as_posix()}"
        for path in files
        if path.parts[0] in SHIPPED
    }
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(tree)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == belonging
