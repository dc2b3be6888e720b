"""What `bench pairs list` knows: a line per finished folder, from its manifest alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.kept_pairs import find_pairs, list_pairs


def write(cache: Path, name: str, age: int, source: dict[str, Any]) -> Path:
    folder = cache / "pairs" / name
    folder.mkdir(parents=True)
    manifest = {
        "corpus": "mini-world",
        "backbone": "mini",
        "draws": 1,
        "specification": {"source": source},
        "items": [{"index": 3}, {"index": 1}],
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest))
    os.utime(path, (1_700_000_000 - age,) * 2)
    (folder / "000003-0.png").write_bytes(b"x" * 100)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Two finished folders, one whose manifest is torn and one without."""
    write(tmp_path, "abc1", 0, {"source": "cdns", "image": "blur", "radius": 5.0})
    write(tmp_path, "abd2", 3600, {"source": "self-play", "draws": 1})
    (write(tmp_path, "torn", 0, {"source": "cdns"}) / "manifest.json").write_text('{"corpus": ')
    (tmp_path / "pairs" / "unfinished").mkdir()
    return tmp_path


def test_finished_folders_are_listed_oldest_first(cache: Path) -> None:
    old, new = list_pairs(cache)
    assert (old["id"], old["source"]) == ("abd2", "self-play: draws=1")
    assert (new["id"], new["source"]) == ("abc1", "cdns: image=blur, radius=5.0")
    assert (new["corpus"], new["backbone"], new["n"], new["draws"]) == ("mini-world", "mini", 2, 1)
    assert new["made"] == "2023-11-14T22:13+00:00"
    assert new["size"] == 100 + (cache / "pairs" / "abc1" / "manifest.json").stat().st_size


def test_where_nothing_was_made_nothing_is_listed(tmp_path: Path) -> None:
    assert list_pairs(tmp_path) == []


def test_a_folder_is_found_by_its_path_or_by_the_beginning_of_its_name(cache: Path) -> None:
    folder = cache / "pairs" / "abc1"
    assert find_pairs(str(folder), cache) == find_pairs("abc", cache) == folder


@pytest.mark.parametrize(("name", "what"), [("ab", "several"), ("x", "no"), ("torn", "no")])
def test_a_name_that_names_not_one_folder_is_one_clear_sentence(
    cache: Path, name: str, what: str
) -> None:
    with pytest.raises(UserError, match=f"'{name}' names {what} finished pairs under .*list"):
        find_pairs(name, cache)


def test_listing_imports_no_torch(cache: Path) -> None:
    code = "import sys, bench.kept_pairs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
