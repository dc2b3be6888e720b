"""A new study: which cases, which images, and what nobody can read out of it."""

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.errors import UserError
from bench.study.database import opened, settings_of
from bench.study.new import REFERENCES, Wish, new_study
from bench.study.raters import consent, image_for, view
from bench.suites import load_suite
from tests.study.studies import BLUE, RED, links, write_run, write_study


@pytest.fixture
def connection(study: Path) -> Iterator[sqlite3.Connection]:
    with opened(study) as found:
        yield found


def colour(connection: sqlite3.Connection, image: str) -> object:
    (png,) = connection.execute("SELECT png FROM image WHERE id = ?", (image,)).fetchone()
    with Image.open(io.BytesIO(png)) as opened_image:
        return opened_image.getpixel((0, 0))


def test_a_pair_holds_what_both_runs_drew_of_one_case(connection: sqlite3.Connection) -> None:
    pairs = connection.execute("SELECT * FROM pair WHERE NOT noise").fetchall()
    assert len({(pair["subject"], pair["prompt_index"], pair["seed"]) for pair in pairs}) == 6
    for pair in pairs:
        assert (colour(connection, pair["a"]), colour(connection, pair["b"])) == (RED, BLUE)
        assert pair["prompt"].endswith(f"<{pair['prompt_index']}>")


def test_a_catch_trial_holds_an_image_against_noise(connection: sqlite3.Connection) -> None:
    (pair,) = connection.execute("SELECT * FROM pair WHERE noise").fetchall()
    assert colour(connection, pair["a"]) in (RED, BLUE)
    (png,) = connection.execute("SELECT png FROM image WHERE id = ?", (pair["b"],)).fetchone()
    with Image.open(io.BytesIO(png)) as noise:
        assert noise.size == (8, 8)
        assert len(noise.getcolors() or ()) == 64


def test_a_subjects_references_are_the_suites(connection: sqlite3.Connection) -> None:
    kept = connection.execute("SELECT subject, count(*) FROM reference GROUP BY subject").fetchall()
    shown = {
        subject.directory: min(REFERENCES, len(subject.references))
        for subject in load_suite("mini@1").subjects[:3]
    }
    assert dict(map(tuple, kept)) == shown


def test_images_tell_nothing_but_pixels(connection: sqlite3.Connection) -> None:
    for image in connection.execute("SELECT * FROM image"):
        assert b"method" not in image["png"]
        assert len(image["id"]) == 22


def test_a_study_of_edits_shows_what_was_to_be_edited_and_may_ask_about_it(tmp_path: Path) -> None:
    path = write_study(tmp_path, "mini-edit@1", questions=("background",))
    (link,) = links(path, 1)
    token = link.split("/")[2]
    with opened(path) as connection:
        consent(connection, token)
        source = view(connection, token)["source"]
        assert image_for(connection, token, source).startswith(b"\x89PNG")
        assert colour(connection, source) not in (RED, BLUE)


def test_what_a_kill_left_of_another_file_gets_into_no_study(tmp_path: Path) -> None:
    (tmp_path / ".study.db.part").write_bytes(b"half a study")
    (tmp_path / ".study.db.part-journal").write_bytes(b"its journal")
    path = write_study(tmp_path)
    assert [left for left in tmp_path.iterdir() if left.is_file()] == [path]


def test_the_file_knows_what_the_study_is_about(connection: sqlite3.Connection) -> None:
    told = settings_of(connection)
    assert told.methods == ("method-a", "method-b")
    assert (told.suite, told.questions) == ("mini@1", ("fidelity", "alignment"))


@pytest.mark.parametrize(
    ("wishes", "problem"),
    [
        ({"pairs": 7}, "answer 6 cases in common, and 7 pairs are wanted"),
        ({"questions": ("fidelty",)}, "Unknown question 'fidelty': did you mean fidelity"),
        ({"questions": ("fidelity", "fidelity")}, "each of them once"),
        ({"questions": ("background",)}, "this suite edits none"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, wishes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        write_study(tmp_path, **wishes)
    assert not (tmp_path / "study.db").exists()


def test_an_altered_image_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    runs = write_run(tmp_path / "a", "a", RED), write_run(tmp_path / "b", "b", BLUE)
    altered = next((tmp_path / "b").rglob("*.png"))
    altered.write_bytes(altered.read_bytes() + b"x")
    with pytest.raises(UserError, match=f"{altered} is missing or is not the image"):
        new_study(*runs, tmp_path / "study.db", Wish(("fidelity",), "", pairs=6))
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_a_run_against_itself_is_no_study(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "a", RED)
    with pytest.raises(UserError, match="are one run"):
        new_study(run, run, tmp_path / "study.db", Wish(("fidelity",), "", pairs=6))


def test_another_file_is_neither_overwritten_nor_taken_for_a_study(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("notes")
    with pytest.raises(UserError, match="There is a file"):
        write_study(tmp_path)
    with pytest.raises(UserError, match="is no study"), opened(path):
        pass
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (line TEXT)")
    with pytest.raises(UserError, match="is no study"), opened(path):
        pass
