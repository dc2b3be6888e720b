"""Small studies: two runs with images that a script can judge, served by a real process."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from PIL import Image

from bench.api import Row
from bench.identity import file_digest
from bench.results import RESULT_FILE, ROWS_FILE, write_result, write_rows
from bench.study.asked import Choice
from bench.study.database import opened
from bench.study.new import Wish, new_study
from bench.study.raters import add_raters
from bench.suites import load_suite
from tests.commands import start
from tests.conftest import made_up_result

RED, BLUE = (200, 0, 0), (0, 0, 200)
SUBJECTS, PROMPTS = 3, 2
TRIALS = 4
"""For each rater."""


def write_run(
    folder: Path, method: str, colour: tuple[int, int, int], suite: str = "mini@1"
) -> Path:
    """A run on a suite's first subjects whose images are of one colour, method in metadata."""
    rows = []
    for subject in load_suite(suite).subjects[:SUBJECTS]:
        for index in range(PROMPTS):
            file = folder / f"images/{subject.directory}/{index:02d}-0.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), colour).save(file, comment=method)
            for metric in ("dino", "clip_t"):
                rows.append(
                    Row(
                        subject=subject.directory,
                        prompt_index=index,
                        prompt=f"a {subject.class_noun} <{index}>",
                        seed=0,
                        metric=metric,
                        value=0.5,
                        image_sha256=file_digest(file),
                    )
                )
    (folder / "manifest.json").write_text("{}")
    write_rows(rows, folder / ROWS_FILE)
    result = made_up_result(method, rows, {}).model_copy(update={"suite": suite})
    write_result(result, folder / RESULT_FILE)
    return folder


def write_study(folder: Path, suite: str = "mini@1", **wishes: Any) -> Path:
    """Red images of A against blue ones of B: 6 pairs, 3 for each rater, and a catch trial."""
    usual = {"pairs": 6, "per_rater": 3, "catches": 1, "questions": ("fidelity", "alignment")}
    runs = (
        write_run(folder / "a", "method-a", RED, suite),
        write_run(folder / "b", "method-b", BLUE, suite),
    )
    new_study(*runs, folder / "study.db", Wish(consent="One.\n\nTwo.", **{**usual, **wishes}))
    return folder / "study.db"


def links(path: Path, count: int) -> list[str]:
    """What follows the address in the links of new raters."""
    with opened(path) as connection:
        return [f"/r/{token}/" for token in add_raters(connection, count)]


@contextmanager
def served(path: Path) -> Iterator[tuple[str, "Popen[str]"]]:
    """The address of a process that serves a study while the context lasts, and the process."""
    process = start("study", "serve", path, "--port", "0", home=path.parent / "home")
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        process.kill()
        process.communicate()


def ask(url: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of what a server answers; a POST where there is a body."""
    try:
        with urlopen(Request(url, data=body), timeout=30) as reply:
            return reply.status, reply.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def told(url: str, body: object = None) -> dict[str, Any]:
    """What a server answers with 200."""
    status, content = ask(url, None if body is None else json.dumps(body).encode())
    assert status == 200, content
    document: dict[str, Any] = json.loads(content)
    return document


def prefers_red(view: dict[str, Any], png: Callable[[str], bytes]) -> Choice:
    """The side of the red image; in a catch trial that of the plain one, be it red or blue."""

    def worth(side: str) -> tuple[bool, bool]:
        with Image.open(io.BytesIO(png(view[side]))) as image:
            plain = image.getcolors(1) is not None
            return plain, image.getpixel((0, 0)) == RED

    return "left" if worth("left") > worth("right") else "right"
