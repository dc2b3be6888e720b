"""Images to be edited come from the hub's table, are kept, and are held to what it held."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow.parquet import write_table

from bench import downloads
from bench.data import verify
from bench.downloads import add, fetch, terms
from bench.editing import open_source
from bench.errors import UserError
from bench.lint import lint
from bench.paths import datasets_folder, home
from bench.plan import Request, make_cases, make_plan
from bench.protocols import load_protocol
from bench.suites import list_downloads, load_suite, read_table
from tests.server import serving

KEY = "imagenhub-editing@1"
SAMPLES = Path(__file__).parents[1] / "../shared/data/imagenhub/ie_samples.tsv"
PHOTOGRAPHS = Path(__file__).parents[1] / "../shared/data/dreambench/dataset"
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def rows() -> Rows:
    """As many samples as the official table has, each image of a colour of its own."""
    prompts = read_table(datasets_folder() / "imagenhub-editing/1/prompts.tsv")
    subjects = [row["directory"] for row in prompts]
    return [
        {"uid": uid, "image": {"bytes": drawn(uid), "path": None}, "subject": subject}
        for uid, subject in enumerate(subjects)
    ]


def drawn(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(file, "PNG")
    return file.getvalue()


def table(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pa.Table.from_pylist(rows), path)
    return path


def test_every_prompt_of_a_subject_has_its_own_image_to_be_edited(
    rows: Rows, tmp_path: Path
) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows[::-1]))
    suite = load_suite(KEY)
    assert suite.sources is not None
    cases = make_cases(suite, load_protocol(suite), suite.subjects, 1)
    reds = [
        np.asarray(open_source(suite, case.subject, case.prompt_index))[0, 0, 0] for case in cases
    ]
    assert reds == list(range(154))
    assert cases[0].prompt == "photo of a pink sunglasses"
    assert {case.subject: case.reference for case in cases}.keys() == suite.sources.keys()


def test_a_method_that_edits_is_asked_all_of_it(rows: Rows, tmp_path: Path) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows))
    assert len(make_plan(Request(method="copy-source", suite=KEY)).cases) == 154


def test_methods_that_make_no_edits_are_not_run_on_it(rows: Rows, tmp_path: Path) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows))
    with pytest.raises(UserError, match="asks for edits of images, and 'noise' makes none"):
        make_plan(Request(method="noise", suite=KEY))


def test_subjects_and_photographs_are_those_of_the_suite_of_generations(
    rows: Rows, tmp_path: Path
) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows))
    ours, theirs = load_suite(KEY), load_suite("imagenhub-generation")
    assert {*ours.subjects} < {*theirs.subjects} and {*ours.images} < {*theirs.images}
    given = load_protocol(theirs).input_references
    assert load_protocol(ours).input_references.items() < given.items()


@pytest.mark.skipif(not SAMPLES.is_file(), reason="the published data are not here")
def test_samples_are_numbered_as_the_published_ones(rows: Rows) -> None:
    assert [(f"sample_{row['uid']}.jpg", row["subject"]) for row in rows] == [
        (row["uid"], row["subject"]) for row in read_table(SAMPLES)
    ]


def test_the_headline_leaves_nothing_open(rows: Rows, tmp_path: Path) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows))
    suite = load_suite(KEY)
    assert [finding.line for finding in lint(suite, load_protocol(suite))] == []


def test_a_checkout_or_an_archive_of_the_hubs_repository_will_do(
    rows: Rows, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    table(checkout / "data/extra-0.parquet", [{**row, "subject": "cup"} for row in rows])
    official = table(checkout / "data/eval-0.parquet", rows)
    add(KEY, checkout)
    identity = load_suite(KEY).identity
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as stored:
        stored.write(official, "data/eval-0.parquet")
    add(KEY, tmp_path / "all.zip")
    assert load_suite(KEY).identity == identity


def test_verify_tells_images_to_be_edited_from_photographs(rows: Rows, tmp_path: Path) -> None:
    report = add(KEY, table(tmp_path / "eval.parquet", rows))
    photographs = len(load_suite(KEY).images)
    assert (report.expected, len(report.missing)) == (photographs + 154, photographs)
    assert "those of dreambench@1: bring them with 'bench data add dreambench DIR'" in (
        report.sentence
    )
    (home() / "data/imagenhub-editing/cat/06").write_bytes(b"spoilt")
    (home() / "data/imagenhub-editing/cat/05").unlink()
    report = verify(load_suite(KEY))
    assert report.altered == ("imagenhub-editing/cat/06",)
    assert report.missing[-1] == "imagenhub-editing/cat/05"
    for index in (5, 6):
        with pytest.raises(UserError, match="bench data add imagenhub-editing PATH"):
            open_source(load_suite(KEY), "cat", index)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no DreamBench photographs")
def test_with_dreambenchs_photographs_nothing_is_missing(rows: Rows, tmp_path: Path) -> None:
    (home() / "data").mkdir(parents=True)
    (home() / "data/dreambench").symlink_to(PHOTOGRAPHS.resolve())
    assert add(KEY, table(tmp_path / "eval.parquet", rows)).ok


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no DreamBench photographs")
def test_the_table_is_fetched_where_dreambenchs_photographs_are(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home() / "data").mkdir(parents=True)
    (home() / "data/dreambench").symlink_to(PHOTOGRAPHS.resolve())
    known = list_downloads()[KEY]
    assert terms(KEY) == f"{KEY}: 22 subjects, 4 MB, {known.licence}, from {known.url}."
    content = table(tmp_path / "0000.parquet", rows).read_bytes()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({"/eval/0000.parquet": content}) as server:
        here = known.model_copy(update={"url": f"{server.address}/eval/0000.parquet"})
        monkeypatch.setattr(downloads, "list_downloads", lambda: {KEY: here})
        assert fetch(KEY).ok and fetch(KEY).ok
        assert server.asked == [("/eval/0000.parquet", None)]
    assert {path.name for path in (home() / "data").iterdir()} == {
        "dreambench",
        "imagenhub-editing",
    }


def test_a_table_with_other_images_is_not_the_one_that_was_added(
    rows: Rows, tmp_path: Path
) -> None:
    add(KEY, table(tmp_path / "eval.parquet", rows))
    rows[3]["image"] = {"bytes": drawn(200), "path": None}
    with pytest.raises(UserError, match="not the imagenhub-editing@1 that was added before"):
        add(KEY, table(tmp_path / "eval.parquet", rows))


def renamed(rows: Rows) -> Rows:
    return [{"uid": row["uid"], "photo": row["image"], "subject": row["subject"]} for row in rows]


def spoilt(rows: Rows) -> Rows:
    return [*rows[:5], {**rows[5], "image": {"bytes": b"<html>", "path": None}}, *rows[6:]]


def elsewhere(rows: Rows) -> Rows:
    return [*rows[:5], {**rows[5], "image": {"bytes": None, "path": "5.jpg"}}, *rows[6:]]


def swapped(rows: Rows) -> Rows:
    return [{**row, "uid": 153 - row["uid"]} for row in rows]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "has the columns uid, photo, subject and lacks image; nothing was added"),
        (spoilt, r"image of sample 5 in .*eval.parquet cannot be read \(it is no PNG"),
        (elsewhere, r"cannot be read as a table of images \(TypeError\)"),
        (swapped, r"Sample 0 in .* is of cat and not of pink_sunglasses"),
        (lambda rows: rows[:66], "has 66 rows of 0 MB instead of 154 samples"),
    ],
    ids=["columns", "no image", "image elsewhere", "other order", "other split"],
)
def test_another_table_is_refused_in_a_sentence(
    change: Callable[[Rows], Rows], said: str, rows: Rows, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        add(KEY, table(tmp_path / "eval.parquet", change(rows)))
    assert list((home() / "data").iterdir()) == []


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "eval.parquet").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(UserError, match="cannot be read as a table of images"):
        add(KEY, tmp_path / "eval.parquet")


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no parquet file in .*empty"):
        add(KEY, tmp_path / "empty")


def test_other_suites_have_nothing_to_be_edited() -> None:
    with pytest.raises(UserError, match="has no images to be edited"):
        open_source(load_suite("mini"), "cup", 0)
