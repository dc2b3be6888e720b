"""What people said of images, and what metrics said of the same images: read and checked."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from bench.errors import UserError, unknown
from bench.paths import datasets_folder

Key = tuple[str, str]
"""Sample (uid) and model: one image."""
Values = Mapping[Key, float]

TASKS = {
    "imagenhub-generation": "Subject-Driven_IG",
    "imagenhub-editing": "Subject-Driven_IE",
}
LEVELS = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Rating:
    """One rater's semantic consistency and perceptual quality of one image, each 0, 0.5 or 1."""

    sc: float
    pq: float


Ratings = Mapping[Key, Mapping[str, Rating]]
"""Image to rater to rating."""


def task_of(suite: str) -> str:
    """The name that the ratings give a suite, NAME or NAME@1. UserError for unrated suites."""
    name, _, version = suite.partition("@")
    if name not in TASKS or version not in ("", "1"):
        raise unknown("suite with human ratings", suite, TASKS)
    return TASKS[name]


def ratings_folder() -> Path:
    """Where the ratings are that ship with the package."""
    return datasets_folder() / "human-ratings" / "imagenhub"


def read_ratings(task: str, path: Path | None = None) -> dict[Key, dict[str, Rating]]:
    """Every rating of a task, the shipped ones by default.

    UserError for a column that is missing, an image that a rater rated twice, and a rating that is
    not 0, 0.5 or 1. Source: ImagenHub, eval/human_ratings.
    """
    path = path or ratings_folder() / "ratings.tsv"
    ratings: dict[Key, dict[str, Rating]] = {}
    for line, row in _rows(path, ("task", "uid", "model", "rater", "SC", "PQ"), "\t"):
        if row["task"] != task:
            continue
        image = ratings.setdefault((row["uid"], row["model"]), {})
        if row["rater"] in image:
            raise UserError(f"{path}, line {line}: a second rating by one rater; keep one.")
        image[row["rater"]] = Rating(*(_level(path, line, row[aspect]) for aspect in ("SC", "PQ")))
    return ratings


def read_published(task: str) -> dict[str, dict[Key, float]]:
    """Metric to its published value for each image. Source: VIEScore's per-sample scores."""
    path = ratings_folder() / "autometrics.tsv"
    published: dict[str, dict[Key, float]] = {}
    for line, row in _rows(path, ("task", "uid", "model", "metric", "value"), "\t"):
        if row["task"] == task:
            values = published.setdefault(row["metric"], {})
            values[row["uid"], row["model"]] = _number(path, line, row["value"])
    return published


def read_scores(path: Path, ratings: Ratings) -> dict[Key, float]:
    """The user's own values for rated images: a CSV with the columns uid, model, value.

    UserError for a column that is missing, an image that nobody rated or that comes twice, and a
    value that is not a finite number.
    """
    uids, models = {uid for uid, _ in ratings}, {model for _, model in ratings}
    scores: dict[Key, float] = {}
    for line, row in _rows(path, ("uid", "model", "value"), ","):
        key = (row["uid"], row["model"])
        if key[1] not in models:
            raise unknown(f"model in {path}, line {line}", key[1], models)
        if key[0] not in uids or key not in ratings:
            raise UserError(
                f"{path}, line {line}: nobody rated {key[0]!r} of {key[1]}; uids are called as "
                f"{min(uids)!r} is, so correct the line or leave it out."
            )
        if key in scores:
            raise UserError(f"{path}, line {line}: {key[0]} of {key[1]} comes twice; keep one.")
        scores[key] = _number(path, line, row["value"])
    return scores


def _rows(
    path: Path, columns: tuple[str, ...], delimiter: str
) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise UserError(
                    f"{path} has no column {', '.join(missing)}; its first line must name "
                    f"{', '.join(columns)}."
                )
            for row in reader:
                yield reader.line_num, row
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"There is no file {path}; name a CSV that exists.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a table in UTF-8 text; export it as CSV.") from error


def _level(path: Path, line: int, text: str) -> float:
    level = _number(path, line, text)
    if level not in LEVELS:
        raise UserError(f"{path}, line {line}: the rating {text} is not 0, 0.5 or 1; correct it.")
    return level


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise UserError(f"{path}, line {line}: {text!r} is not a finite number; correct it.")
    return value
