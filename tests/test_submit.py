"""Submitting: a whole run, put on a board once all of it holds."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from bench.board import check
from bench.errors import UserError
from bench.gallery import Picture
from bench.identity import file_digest
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.results import read_measured, read_result, write_result, write_rows
from bench.sitting import Answer
from bench.submit import submit
from bench.suites import load_suite
from tests.conftest import made_up_result


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of mini@1 answered by files of made-up content, with made-up scores."""
    folder = tmp_path_factory.mktemp("noise")
    suite = load_suite("mini")
    protocol = load_protocol(suite)
    rows = []
    for case in make_cases(suite, protocol, suite.subjects, protocol.seeds):
        image = folder / "images" / case.file
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(case.file.encode())
        answer = Answer(case, Picture(file_digest(image), lambda: Image.new("RGB", (1, 1))))
        for metric in ("dino", "clip_t"):
            rows.append(answer.row(metric, Random(f"{metric}/{case.file}").random()))
    write_rows(rows, folder / "rows.parquet")
    write_result(made_up_result("noise", rows, {}), folder / "row.json")
    return folder


@pytest.fixture
def run(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "run"))


@pytest.fixture
def boards(tmp_path: Path) -> Path:
    return tmp_path / "leaderboards"


def refused(run: Path, boards: Path) -> str:
    with pytest.raises(UserError) as error:
        submit(run, boards)
    assert not boards.exists()
    return str(error.value)


def test_a_whole_run_becomes_a_row_of_a_built_board(run: Path, boards: Path) -> None:
    place = submit(run, boards)
    assert read_measured(place).result == read_measured(run).result
    assert check(boards) == []


def test_the_same_run_twice_is_one_row(run: Path, boards: Path) -> None:
    assert submit(run, boards) == submit(run, boards)
    assert check(boards) == []


def test_a_missing_image_is_named(run: Path, boards: Path) -> None:
    image = sorted((run / "images").glob("*/*.png"))[0]
    image.unlink()
    sentence = refused(run, boards)
    assert "1 of 288 images are missing or not those that were scored" in sentence
    assert image.relative_to(run / "images").as_posix() in sentence


def test_an_image_that_was_not_scored_is_named(run: Path, boards: Path) -> None:
    one, other = sorted((run / "images").glob("*/*.png"))[:2]
    shutil.copyfile(one, other)
    assert other.relative_to(run / "images").as_posix() in refused(run, boards)


def test_scores_must_follow_from_the_rows(run: Path, boards: Path) -> None:
    told = read_result(run / "row.json")
    better = told.metrics["dino"].model_copy(update={"mean": 0.99})
    metrics = {**told.metrics, "dino": better}
    write_result(told.model_copy(update={"metrics": metrics}), run / "row.json")
    assert "dino does not follow from the rows" in refused(run, boards)


def test_an_outdated_run_is_refused(run: Path, boards: Path) -> None:
    told = read_result(run / "row.json")
    write_result(told.model_copy(update={"suite_identity": "0" * 64}), run / "row.json")
    assert "was measured on another content of mini@1" in refused(run, boards)


def test_a_run_that_is_not_whole_is_refused(make_run: Callable[..., Path], boards: Path) -> None:
    assert "fewer subjects or seeds" in refused(make_run("sfo", limited=True), boards)
    assert "288 of 288 cases have no dino" in refused(make_run("sfo"), boards)


def test_other_scores_of_a_row_that_stands_are_refused_unless_they_replace_it(
    run: Path, boards: Path
) -> None:
    place = submit(run, boards)
    told = read_result(place / "row.json")
    worse = told.metrics["dino"].model_copy(update={"mean": -0.5})
    standing = told.model_copy(update={"metrics": {**told.metrics, "dino": worse}})
    write_result(standing, place / "row.json")
    with pytest.raises(UserError, match="raise the revision of 'noise'"):
        submit(run, boards)
    assert read_result(place / "row.json") == standing
    submit(run, boards, replace=True)
    assert read_result(place / "row.json") == told
