"""What is to be seen of pairs: figures, and a sheet from the most to the least alike."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.api import Workspace
from bench.cli import app
from bench.errors import UserError
from bench.methods.mini_corpus import MiniWorld
from bench.methods.pair_folder import PairFolder, Sampler, make_pairs
from bench.methods.pair_sheet import CELL
from bench.methods.pair_views import look
from bench.methods.pairs import Cdns, PairSource, SelfPlay
from bench.methods.similarity import similarities
from tests.methods.tiny_trainings import fresh

INDICES = [5, 11, 2, 8]
Make = Callable[..., Path]


@pytest.fixture
def make(workspace: Workspace) -> Make:
    """``make(source, indices)``: the folder of pairs of the mini world."""
    backbone, corpus = fresh(), MiniWorld()
    sampler = Sampler({}, "none", steps=1, guidance=1.0, batch=4)

    def made(source: PairSource | None = None, indices: list[int] = INDICES) -> Path:
        source = source or Cdns()
        pairs = make_pairs(backbone, corpus, "mini-world", indices, source, sampler, workspace)
        folder: Path = pairs.folder
        return folder

    return made


def shown(folders: list[Path], out: Path, rows: int = 8) -> dict[str, Any]:
    found: dict[str, Any] = look(folders, None, rows, out)
    return found


def test_figures_are_those_of_the_similarities(
    make: Make, workspace: Workspace, tmp_path: Path
) -> None:
    folder = make()
    found = shown([folder], tmp_path / "out" / "pairs.png")
    measured = similarities(PairFolder(folder), MiniWorld(), "mini-dino", workspace)
    cosines = [one.to_target for one in measured]
    (figures,) = found["pairs"]
    json.dumps(found)
    assert (found["judge"], figures["n"]) == ("mini-dino", 4)
    assert figures["to_positive"] == pytest.approx(np.mean(cosines))
    assert figures["to_reference"] == pytest.approx(np.mean([o.to_reference for o in measured]))
    assert figures["quantiles"]["0.50"] == pytest.approx(np.median(cosines))


def test_rows_go_from_the_most_to_the_least_alike(
    make: Make, workspace: Workspace, tmp_path: Path
) -> None:
    folder = make()
    measured = similarities(PairFolder(folder), MiniWorld(), "mini-dino", workspace)
    falling = [one.index for one in sorted(measured, key=lambda one: -one.to_target)]
    assert shown([folder], tmp_path / "all.png")["shown"] == falling
    assert shown([folder], tmp_path / "two.png", rows=2)["shown"] == [falling[0], falling[-1]]


def test_the_sheet_shows_reference_positive_and_negative_side_by_side(
    make: Make, tmp_path: Path
) -> None:
    folder, out = make(), tmp_path / "pairs.png"
    (index,) = shown([folder], out, rows=1)["shown"]
    sheet, triplet = Image.open(out), MiniWorld()[index]
    negative = PairFolder(folder).opener(index, 0)()
    for image in (triplet.reference, triplet.target, negative):
        enlarged = np.asarray(image.resize((CELL, CELL), Image.Resampling.NEAREST))
        assert _contains(np.asarray(sheet), enlarged)


def _contains(page: Any, part: Any) -> bool:
    places = np.argwhere((page[: -CELL + 1, : -CELL + 1] == part[0, 0]).all(axis=-1))
    return any(np.array_equal(page[y : y + CELL, x : x + CELL], part) for y, x in places)


def test_several_sources_share_rows_and_add_columns(make: Make, tmp_path: Path) -> None:
    cdns, own = make(), make(SelfPlay(2), [8, 1, 5])
    found = shown([cdns, own], tmp_path / "both.png")
    assert sorted(found["shown"]) == [5, 8]
    assert [figures["n"] for figures in found["pairs"]] == [4, 6]
    shown([cdns], tmp_path / "one.png")
    widths = [Image.open(tmp_path / name).width for name in ("one.png", "both.png")]
    assert widths[1] - widths[0] >= 2 * CELL


def test_pairs_without_a_common_triplet_are_one_clear_sentence(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no triplet in common; show them one by one"):
        shown([make(), make(indices=[1, 3])], tmp_path / "pairs.png")


def test_pairs_of_another_corpus_are_one_clear_sentence(make: Make, tmp_path: Path) -> None:
    path = make() / "manifest.json"
    path.write_text(path.read_text().replace(MiniWorld().identity, "another"))
    with pytest.raises(UserError, match="made from the corpus mini-world as it is here"):
        shown([path.parent], tmp_path / "pairs.png")


def test_pairs_that_name_no_encoder_ask_for_one(make: Make, tmp_path: Path) -> None:
    path = make() / "manifest.json"
    path.write_text(path.read_text().replace('"judge"', '"nobody"'))
    with pytest.raises(UserError, match="names no encoder to measure with; give one by --judge"):
        shown([path.parent], tmp_path / "pairs.png")
    assert look([path.parent], "mini-dino", 1, tmp_path / "pairs.png")["judge"] == "mini-dino"


def test_the_command_shows_the_newest_and_prints_one_document(
    make: Make, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(workspace.cache.parent))
    folder, out = make(), tmp_path / "pairs.png"
    arguments = ["pairs", "show", "-o", str(out), "--rows", "2", "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    document = json.loads(done.stdout)
    assert document["pairs"][0]["folder"] == str(folder) and out.is_file()
    listed = json.loads(CliRunner().invoke(app, ["pairs", "list", "--json"]).stdout)
    assert [row["id"] for row in listed] == [folder.name]
