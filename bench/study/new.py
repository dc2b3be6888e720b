"""A new study: cases that two runs have both answered, drawn by lot, and their images copied."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from sqlite3 import Connection
from typing import TYPE_CHECKING

import numpy as np

from bench import pictures
from bench.api import Progress, Row, silent
from bench.editing import open_source
from bench.errors import UserError
from bench.gallery import Gallery
from bench.identity import file_digest, seed_of
from bench.made import images_of
from bench.plan import make_cases
from bench.protocols import load_protocol
from bench.results import Measured, read_measured
from bench.sitting import Place, place_of
from bench.study.asked import chosen
from bench.study.database import Settings, created, opaque
from bench.study.draw import sample
from bench.suites import Suite, load_suite

if TYPE_CHECKING:
    from PIL.Image import Image

REFERENCES = 4
"""Photographs of a subject that raters see, the first of the suite's."""
COMPRESSION = 3
"""Of PNG: larger files, but written in a fraction of the time."""
ONE_QUESTION = ("suite", "suite_identity", "protocol", "protocol_identity")
"""Fields of two results that must be equal."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of a study."""

    questions: tuple[str, ...]
    consent: str
    pairs: int = 450
    per_rater: int = 30
    catches: int = 2
    forced: bool = False
    seed: int = 0


def new_study(
    run_a: Path, run_b: Path, path: Path, wish: Wish, progress: Progress = silent
) -> Settings:
    """Write a study of two finished runs on the same suite and protocol.

    A catch trial holds an image of A or B, in turn, against noise. Images lose all that their
    files say besides pixels. UserError where the runs differ in what they were asked, share fewer
    cases than pairs are wanted, or an image is missing or was altered.
    """
    runs = read_measured(run_a), read_measured(run_b)
    _demand_one_question(*runs)
    suite = load_suite(runs[0].result.suite)
    settings = _settings(runs, suite, wish)
    sides = _answers(runs[0]), _answers(runs[1])
    asked = _asked(suite, runs[0])
    places = _drawn(sides[0].keys() & sides[1].keys() & asked, wish)
    with created(path) as connection:
        connection.execute("INSERT INTO study VALUES (?)", (settings.model_dump_json(),))
        album = Album(connection, suite)
        for number, place in enumerate(places):
            noise = number - wish.pairs
            files = [_file(run, side[place]) for run, side in zip(runs, sides, strict=True)]
            if noise >= 0:
                album.catch(sides[0][place], files[noise % 2], seed_of(wish.seed, "noise", noise))
            else:
                album.pair(sides[0][place], *files)
            progress("Copying", number + 1, len(places))
    return settings


class Album:
    """Copies images into a study, each under an id that says nothing."""

    def __init__(self, connection: Connection, suite: Suite) -> None:
        self._connection, self._suite = connection, suite
        self._gallery = Gallery(suite)
        self._references = cache(self._add_references)
        self._source = cache(self._add_source)

    def pair(self, row: Row, a: Path, b: Path) -> None:
        self._add_pair(row, self.add(pictures.read(a)), self.add(pictures.read(b)), noise=False)

    def catch(self, row: Row, file: Path, seed: int) -> None:
        """An image against noise of its size."""
        image = pictures.read(file)
        self._add_pair(row, self.add(image), self.add(noise(image.size, seed)), noise=True)

    def add(self, image: "Image") -> str:
        """Store pixels as PNG; returns their id."""
        buffer, name = io.BytesIO(), opaque()
        image.convert("RGB").save(buffer, format="PNG", compress_level=COMPRESSION)
        self._connection.execute("INSERT INTO image VALUES (?, ?)", (name, buffer.getvalue()))
        return name

    def _add_pair(self, row: Row, a: str, b: str, noise: bool) -> None:
        self._references(row.subject)
        source = self._source(row.subject, row.prompt_index) if self._suite.sources else None
        self._connection.execute(
            "INSERT INTO pair (subject, prompt_index, seed, prompt, a, b, source, noise) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (row.subject, row.prompt_index, row.seed, row.prompt, a, b, source, noise),
        )

    def _add_references(self, subject: str) -> None:
        for position, picture in enumerate(list(self._gallery(subject).values())[:REFERENCES]):
            row = (subject, position, self.add(picture.open()))
            self._connection.execute("INSERT INTO reference VALUES (?, ?, ?)", row)

    def _add_source(self, subject: str, prompt_index: int) -> str:
        return self.add(open_source(self._suite, subject, prompt_index))


def noise(size: tuple[int, int], seed: int) -> "Image":
    """Uniform noise, (H, W, 3) in 0..255."""
    from PIL import Image

    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(levels)


def _settings(runs: tuple[Measured, Measured], suite: Suite, wish: Wish) -> Settings:
    a, b = (run.result for run in runs)
    one_method = a.method == b.method
    return Settings(
        suite=a.suite,
        suite_identity=a.suite_identity,
        protocol=a.protocol,
        methods=(a.folder_name, b.folder_name) if one_method else (a.method, b.method),
        runs=(a.identity, b.identity),
        questions=chosen(wish.questions, edits=suite.sources is not None),
        per_rater=min(wish.per_rater, wish.pairs),
        forced=wish.forced,
        seed=wish.seed,
        consent=wish.consent,
    )


def _drawn(shared: "set[Place]", wish: Wish) -> list[Place]:
    """The places of the pairs, then those of the catch trials, others where some are left."""
    if len(shared) < wish.pairs:
        raise UserError(
            f"The runs answer {len(shared)} cases in common, and {wish.pairs} pairs are wanted; "
            f"ask for at most '--pairs {len(shared)}', or complete the runs."
        )
    places = sample(sorted(shared), wish.pairs + wish.catches, wish.seed)
    return places[: wish.pairs] + (places[::-1] * wish.catches)[: wish.catches]


def _asked(suite: Suite, run: Measured) -> set[Place]:
    """What the suite asks: rows that are about anything else name no file and no photograph."""
    protocol = load_protocol(suite, run.result.protocol)
    seeds = min(run.result.n_seeds, len(run.rows))
    return set(map(place_of, make_cases(suite, protocol, suite.subjects, seeds)))


def _answers(run: Measured) -> Mapping[Place, Row]:
    """The rows of one metric that is about images, by place."""
    kinds = run.result.metrics
    images = (row for row in run.rows if kinds[row.metric].kind != "set")
    return {(row.subject, row.prompt_index, row.seed): row for row in images}


def _file(run: Measured, row: Row) -> Path:
    """The image that a row is about, unaltered."""
    file = images_of(run.folder) / f"{row.subject}/{row.prompt_index:02d}-{row.seed}.png"
    if not file.is_file() or file_digest(file) != row.image_sha256:
        raise UserError(
            f"{file} is missing or is not the image that was scored; name the folder of a run with "
            "its images, or make it whole by the same 'bench run'."
        )
    return file


def _demand_one_question(a: Measured, b: Measured) -> None:
    if any(getattr(a.result, name) != getattr(b.result, name) for name in ONE_QUESTION):
        raise UserError(
            f"{a.folder} and {b.folder} were asked by different suites or protocols; choose two "
            "runs on the same ones."
        )
    if a.result.identity == b.result.identity:
        raise UserError(f"{a.folder} and {b.folder} are one run; choose two to be told apart.")
