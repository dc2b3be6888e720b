"""Every command that takes a file of a stranger refuses a hostile one in a sentence, and soon."""

import os
import shutil
from pathlib import Path

import pytest

from bench.paths import leaderboards_folder
from tests.commands import here, sentence_of

ROW = sorted((leaderboards_folder() / "mini/1/measured").glob("[!.]*"))[0]
DEEP = b"[" * 200_000
RUN, FILE = "RUN", "FILE"
"""What stands for the hostile run, or file, in a command."""

OF_RUNS = [
    ("submit", RUN, "--boards", "boards"),
    ("board", "add", RUN, "--boards", "boards"),
    ("verify", RUN),
    ("compare", RUN, RUN),
    ("report", RUN, "-o", "out"),
    ("study", "new", RUN, RUN, "-o", "study.db"),
]
OF_FILES = [
    ("study", "analyse", FILE),
    ("study", "tokens", FILE),
    ("study", "export", FILE, "--mturk", "crowd", "--url", "https://example.org"),
    ("check", "--suite", "mini", "--file", FILE),
    ("data", "add", "dreambench", FILE),
    ("data", "add", "customconcept101", FILE),
    ("weights", "add", "dino-vits16", FILE),
    ("score", "--suite", "mini", "--images", FILE),
]
CONTENTS = {"empty": b"", "no text": b"\xff\x00\xfe", "deep": DEEP, "other": b'{"a": 1}'}


def refusal(*words: str | Path, place: Path) -> str:
    """What a command says that is given in a folder of its own."""
    return sentence_of(here(*words, home=place / "home", cwd=place))


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("file", ["row.json", "rows.parquet"])
def test_a_run(file: str, content: bytes, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(ROW, run)
    (run / file).write_bytes(content)
    for words in OF_RUNS:
        given = [run if word == RUN else word for word in words]
        assert file in refusal(*given, place=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "home"}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("words", OF_FILES, ids=" ".join)
def test_a_file(words: tuple[str, ...], content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    given = [file if word == FILE else word for word in words]
    refusal(*given, place=tmp_path)
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.parametrize("words", OF_FILES, ids=" ".join)
def test_a_pipe_that_nobody_writes_to(words: tuple[str, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file.csv")
    given = [tmp_path / "file.csv" if word == FILE else word for word in words]
    refusal(*given, place=tmp_path)
