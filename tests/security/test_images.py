"""Images and places that strangers name: little memory, no waiting, and nothing from elsewhere."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from bench import pictures
from bench.claims import read_claims
from bench.documents import json_of, toml_of
from bench.errors import UserError
from bench.folder import check, index
from bench.identity import file_digest
from bench.paths import datasets_folder
from bench.plan import make_cases
from bench.protocols import load_protocol, read_protocol
from bench.results import ROWS_FILE, SCHEMA, read_rows, write_rows
from bench.study.new import Wish, new_study
from bench.suites import Suite, load_suite, read_suite
from tests.security.test_archives import MEMORY, peak
from tests.study.studies import BLUE, RED, write_run

SUITE = load_suite("mini@1")
CASES = make_cases(SUITE, load_protocol(SUITE), SUITE.subjects, 1)


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def vast(path: Path) -> Path:
    """A PNG that says it is 60000 pixels wide and high, in a few bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
    return path


def wordy(path: Path) -> Path:
    """A PNG with 200 megabytes of text about itself, in 200 kilobytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    words = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(200 << 20), 1))
    pixels = chunk(b"IDAT", zlib.compress(bytes(4)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + words + pixels + chunk(b"IEND", b""))
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def endless(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def text(path: Path) -> Path:
    path.write_text("<svg onload='alert(1)'/>")
    return path


HOSTILE: list[Callable[[Path], Path]] = [vast, wordy, pipe, endless, folder, text]


@pytest.mark.parametrize("make", HOSTILE)
def test_it_is_refused_at_once_and_in_little_memory(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    path, before = make(tmp_path / "image.png"), peak()
    with pytest.raises(pictures.Unreadable):
        pictures.read(path)
    with pytest.raises(pictures.Unreadable):
        pictures.describe(path)
    assert peak() - before < MEMORY


@pytest.mark.parametrize("make", [vast, pipe, endless, folder, text])
def test_so_it_is_among_the_images_of_a_run(make: Callable[[Path], Path], tmp_path: Path) -> None:
    case = CASES[0]
    (tmp_path / case.subject).mkdir()
    make(tmp_path / case.file)
    report = check(index(tmp_path, CASES))
    assert not report.images


def test_of_very_many_frames_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("L", (256, 256), number % 256) for number in range(1500)]
    before = peak()
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert pictures.describe(tmp_path / "a.gif").frames == 1500
    assert pictures.read(tmp_path / "a.gif").size == (256, 256)
    assert peak() - before < MEMORY


@pytest.mark.parametrize("name", ["m.csv", "m.jsonl"])
@pytest.mark.parametrize("image", ["/dev/zero", "/dev/stdin", "../" * 40 + "etc/passwd", "x" * 999])
def test_a_manifest_may_name_what_it_likes(name: str, image: str, tmp_path: Path) -> None:
    case, manifest = CASES[0], tmp_path / name
    lines = f"image,subject,prompt,seed\n{image},{case.subject},0,0\n"
    if name == "m.jsonl":
        lines = f'{{"image": "{image}", "subject": "{case.subject}", "prompt": 0, "seed": 0}}\n'
    manifest.write_text(lines)
    assert not check(index(manifest, CASES)).images


def test_a_deep_or_endless_document_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / "m.jsonl"
    deep.write_text("[" * 100_000)
    with pytest.raises(UserError, match="cannot be read"):
        read_claims(deep)
    for read in (json_of, toml_of):
        with pytest.raises((ValueError, OSError)):
            read(endless(tmp_path / f"{read.__name__}"))


def test_a_key_of_very_many_parts_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a." * 200_000 + "a = 1")
    with pytest.raises(ValueError, match="very many parts"):
        toml_of(tmp_path / "a.toml")


@pytest.mark.parametrize("place", ["../../outside", "/tmp/x", "a/../../b", "a\\..\\b", "a/\x00"])
class TestSuitesOfStrangers:
    @pytest.fixture
    def copy(self, tmp_path: Path) -> Path:
        folder = tmp_path / "mini" / "1"
        folder.mkdir(parents=True)
        for path in (datasets_folder() / "mini/1").iterdir():
            if path.is_file() and path.name != "digest.txt":
                (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def test_lead_nowhere_by_an_image(self, copy: Path, place: str) -> None:
        (copy / "images.tsv").write_text(f"path\tsha256\tbytes\n{place}\t0\t1\n")
        with pytest.raises(UserError, match="cannot be read"):
            read_suite(copy)

    def test_lead_nowhere_by_a_subject(self, copy: Path, place: str) -> None:
        line = f"directory\tclass_noun\tdescriptive_name\tlive\n{place}\tcup\tcup\t0\n"
        (copy / "subjects.tsv").write_text(line)
        with pytest.raises(UserError, match="cannot be read"):
            read_suite(copy)

    def test_lead_nowhere_by_the_suite_that_they_borrow_from(self, copy: Path, place: str) -> None:
        stated = (copy / "suite.toml").read_text()
        (copy / "suite.toml").write_text(f"images_of = {place!r}\n" + stated)
        with pytest.raises(UserError, match="cannot be read"):
            read_suite(copy)

    def test_lead_nowhere_by_a_protocol(self, tmp_path: Path, place: str) -> None:
        (tmp_path / "a@1.toml").write_text(f"input_reference = {place + '.tsv'!r}\n")
        with pytest.raises(UserError, match="cannot be read"):
            read_protocol(SUITE, tmp_path / "a@1.toml")


@pytest.mark.parametrize("template", ["{0.__class__}", "{:>99999999999}", "{}{}", "{name}", "{"])
def test_a_prompt_has_one_place_for_a_name_and_no_other_magic(template: str) -> None:
    with pytest.raises(ValueError, match="prompts_object"):
        Suite.model_validate({**SUITE.model_dump(), "prompts_object": (template,)})


def test_rows_about_other_places_name_no_file(tmp_path: Path) -> None:
    """A study copies images to people: a stranger's run must not choose which."""
    secret = tmp_path / "secret" / "00-0.png"
    secret.parent.mkdir()
    Image.new("RGB", (8, 8)).save(secret)
    told = {"subject": "../../secret", "image_sha256": file_digest(secret)}
    runs = write_run(tmp_path / "a", "one", RED), write_run(tmp_path / "b", "two", BLUE)
    for run in runs:
        first, second = read_rows(run / ROWS_FILE)[:2]
        write_rows((row.model_copy(update=told) for row in (first, second)), run / ROWS_FILE)
    with pytest.raises(UserError, match="0 cases in common"):
        new_study(*runs, tmp_path / "study.db", Wish(("fidelity",), "Yes.", 1, 1, 0))
    assert not (tmp_path / "study.db").exists()


def test_few_bytes_of_rows_do_not_become_many(tmp_path: Path) -> None:
    count, before = 20_000, peak()
    long = pa.array(["x" * (1 << 20)]).dictionary_encode().take(pa.array([0] * count))
    arrays = [
        long if field.name == "prompt" else pa.array([None] * count, field.type) for field in SCHEMA
    ]
    pq.write_table(pa.table(arrays, names=SCHEMA.names), tmp_path / ROWS_FILE)
    assert (tmp_path / ROWS_FILE).stat().st_size < 4 << 20
    with pytest.raises(UserError, match="cannot be read"):
        read_rows(tmp_path / ROWS_FILE)
    assert peak() - before < MEMORY
