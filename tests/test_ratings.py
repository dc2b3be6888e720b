"""Ratings and scores as they are read, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.ratings import ratings_folder, read_published, read_ratings, read_scores, task_of

COLUMNS = "task\tuid\tmodel\trater\tSC\tPQ"
SHARED = Path(__file__).parents[2] / "shared" / "data" / "imagenhub"
WriteScores = Callable[..., Path]


@pytest.fixture
def write_scores(tmp_path: Path) -> WriteScores:
    def write(*lines: str) -> Path:
        path = tmp_path / "mine.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("suite", "images", "raters"),
    [("imagenhub-generation", 150 * 5, 3), ("imagenhub-editing", 154 * 3, 3)],
)
def test_every_image_has_every_rating(suite: str, images: int, raters: int) -> None:
    ratings = read_ratings(task_of(suite))
    assert len(ratings) == images
    assert {len(given) for given in ratings.values()} == {raters}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published ratings")
def test_the_shipped_ratings_are_the_published_ones() -> None:
    published = (SHARED / "ratings_long.tsv").read_text().splitlines()
    assert (ratings_folder() / "ratings.tsv").read_text().splitlines() == published


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published scores")
@pytest.mark.parametrize("task", ["Subject-Driven_IG", "Subject-Driven_IE"])
def test_the_shipped_scores_are_the_published_ones(task: str) -> None:
    told: dict[str, dict[tuple[str, str], float]] = {"dino": {}, "clip_i": {}}
    for path in (SHARED / "autometrics").glob(f"*{task}__*.json"):
        for uid, numbers in json.loads(path.read_text()).items():
            for name, number in numbers.items():
                told[name.lower()][uid, path.stem.partition("__")[2]] = number
    assert read_published(task) == told


def test_scores_are_read_for_the_images_they_name(write_scores: WriteScores) -> None:
    path = write_scores("value,uid,model,note", "0.5,sample_0.jpg,SuTI,x", "-1,sample_1.jpg,SuTI,")
    scores = read_scores(path, read_ratings("Subject-Driven_IG"))
    assert scores == {("sample_0.jpg", "SuTI"): 0.5, ("sample_1.jpg", "SuTI"): -1}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["uid,model", "sample_0.jpg,SuTI"], "no column value"),
        (["uid,model,value", "sample_999.jpg,SuTI,1"], "nobody rated 'sample_999.jpg' of SuTI"),
        (["uid,model,value", "sample_0.jpg,Suti,1"], "did you mean SuTI"),
        (["uid,model,value", "sample_0.jpg,SuTI,high"], "line 2: 'high' is not a finite number"),
        (["uid,model,value", "sample_0.jpg,SuTI,nan"], "'nan' is not a finite number"),
        (["uid,model,value", "sample_0.jpg,SuTI"], "'' is not a finite number"),
        (["uid,model,value", *["sample_0.jpg,SuTI,1"] * 2], "comes twice"),
    ],
)
def test_a_csv_that_cannot_be_meant_is_refused(
    write_scores: WriteScores, lines: list[str], said: str
) -> None:
    with pytest.raises(UserError) as refused:
        read_scores(write_scores(*lines), read_ratings("Subject-Driven_IG"))
    assert said in str(refused.value)


def test_a_csv_that_is_not_there_or_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_scores(tmp_path / "none.csv", {})
    (tmp_path / "mine.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a table in UTF-8"):
        read_scores(tmp_path / "mine.csv", {})


@pytest.mark.parametrize(
    ("row", "said"),
    [("s\tm\t1\t0.7\t1", "0.7 is not 0, 0.5 or 1"), ("s\tm\t1\t1\t-1", "-1 is not 0, 0.5 or 1")],
)
def test_a_rating_that_nobody_could_give_is_refused(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "ratings.tsv").write_text(f"{COLUMNS}\nt\t{row}\n")
    with pytest.raises(UserError, match=said):
        read_ratings("t", tmp_path / "ratings.tsv")


def test_a_rater_who_rates_an_image_twice_is_refused(tmp_path: Path) -> None:
    row = "t\ts\tm\t1\t1\t1\n"
    (tmp_path / "ratings.tsv").write_text(f"{COLUMNS}\n{row}{row}")
    with pytest.raises(UserError, match="line 3: a second rating"):
        read_ratings("t", tmp_path / "ratings.tsv")


@pytest.mark.parametrize("suite", ["imagenhub-generatoin", "dreambench", "imagenhub-editing@2"])
def test_a_suite_that_nobody_rated_is_refused(suite: str) -> None:
    with pytest.raises(UserError, match="Unknown suite with human ratings"):
        task_of(suite)
