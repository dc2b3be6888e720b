"""Every layout in which a data set is handed out is recognised, on a small tree of that layout."""

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.api import Subject
from bench.data import add, verify
from bench.errors import UserError
from bench.paths import home
from bench.suites import ImageFile, Suite, load_suite

PHOTOGRAPHS = Path(__file__).parents[1] / "../shared/data/dreambench/dataset"
FILES = {"cup/00.jpg": b"cup 0", "cup/01.jpg": b"cup 1", "hat/00.jpg": b"hat"}
LAYOUTS = ["", "dataset/", "inputs/", "dreambooth-4f88/dataset/", "DreamMatcher-main/inputs/"]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("bench.suites.datasets_folder", lambda: tmp_path / "datasets")


def suite_of(name: str, files: dict[str, bytes]) -> Suite:
    subjects = sorted({path.partition("/")[0] for path in files})
    return Suite(
        name=name,
        version=1,
        title="Things",
        source="files",
        default_backbone="mini",
        headline="headline",
        licence="CC0",
        citation="nobody",
        world=None,
        subjects=tuple(
            Subject(
                directory=thing,
                class_noun=thing,
                descriptive_name=thing,
                live=False,
                references=tuple(p.partition("/")[2] for p in files if p.startswith(thing)),
            )
            for thing in subjects
        ),
        prompts_object=("a {}",),
        prompts_live=(),
        images=tuple(
            ImageFile(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for path, content in files.items()
        ),
    )


TINY = suite_of("tiny", FILES)


def laid_out(folder: Path, layout: str, files: dict[str, bytes] = FILES) -> Path:
    for path, content in files.items():
        (folder / layout / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / layout / path).write_bytes(content)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_and_checkouts_are_recognised(layout: str, tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "mine", layout)
    (folder / "README.md").write_text("read me")
    assert add(TINY, folder).ok and verify(TINY).ok


@pytest.mark.parametrize("layout", LAYOUTS)
def test_zips_are_recognised(layout: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as stored:
        for path, content in {**FILES, "README.md": b"read me"}.items():
            stored.writestr(layout + path, content)
    assert add(TINY, tmp_path / "data.zip").ok and verify(TINY).ok


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tars_are_recognised(layout: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "data.tar.gz", "w:gz") as tape:
        for path, content in FILES.items():
            info = tarfile.TarInfo(layout + path)
            info.size = len(content)
            tape.addfile(info, io.BytesIO(content))
    assert add(TINY, tmp_path / "data.tar.gz").ok and verify(TINY).ok


def test_a_file_that_is_neither_folder_nor_archive_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="neither a folder nor an archive"):
        add(TINY, tmp_path / "notes.txt")


def test_an_image_that_is_not_one_is_named(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "mine", "", {**FILES, "cup/01.jpg": b"<html>sign in</html>"})
    with pytest.raises(UserError, match=r"1 is altered .*cup/01.jpg is no image") as error:
        add(TINY, folder)
    assert "nothing was added" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("inside", ["", "data"])
def test_a_hub_table_is_refused_because_its_files_are_others(inside: str, tmp_path: Path) -> None:
    table = tmp_path / "hub" / inside / "eval.parquet"
    table.parent.mkdir(parents=True)
    pq.write_table(pa.table({"image": [b""], "subject": ["cup"]}), table)
    for path in (table, tmp_path / "hub"):
        with pytest.raises(UserError, match=r"compressed again .* not the files of tiny@1"):
            add(TINY, path)


def test_columns_that_a_hub_table_lacks_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [b""]}), tmp_path / "eval.parquet")
    with pytest.raises(UserError, match="has no column subject, so"):
        add(TINY, tmp_path / "eval.parquet")


def test_half_a_hub_table_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "eval.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="no whole parquet file"):
        add(TINY, tmp_path / "eval.parquet")


@pytest.fixture
def borrower(tmp_path: Path) -> Suite:
    """Has a cup of its own, and the tiny suite's hat by another name."""
    folder = tmp_path / "datasets/borrower/1"
    folder.mkdir(parents=True)
    rows = "path\tsuite\tpath_there\nheadgear/0.jpg\ttiny@1\that/00.jpg\n"
    (folder / "borrowed.tsv").write_text(rows)
    return suite_of("borrower", {"mug/0.jpg": b"mug", "headgear/0.jpg": b"hat"})


def test_borrowed_images_come_from_the_suite_that_has_them(borrower: Suite, tmp_path: Path) -> None:
    add(TINY, laid_out(tmp_path / "mine", ""))
    own = laid_out(tmp_path / "checkout", "inputs", {"mug/0.jpg": b"mug"})
    assert add(borrower, own).ok
    assert (home() / "data/borrower/headgear/0.jpg").read_bytes() == b"hat"


def test_what_cannot_be_borrowed_is_asked_for_by_name(borrower: Suite, tmp_path: Path) -> None:
    own = laid_out(tmp_path / "checkout", "inputs", {"mug/0.jpg": b"mug"})
    with pytest.raises(UserError, match=r"1 is missing \(headgear/0.jpg\)"):
        add(borrower, own)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="no DreamBench photographs")
def test_a_flipped_byte_in_the_real_photographs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path / "home"))
    suite = load_suite("dreambench")
    report = add(suite, PHOTOGRAPHS)
    assert report.ok and report.expected == 158
    spoilt = home() / "data/dreambench/cat2/01.jpg"
    content = bytearray(spoilt.read_bytes())
    content[1000] ^= 1
    spoilt.write_bytes(content)
    assert (verify(suite).altered, verify(suite).missing) == (("cat2/01.jpg",), ())
