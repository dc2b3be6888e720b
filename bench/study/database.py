"""The file of a study: settings, images, pairs, raters with their trials, and answers, in SQLite.

Every answer is on the disk before its rater is told so (WAL, synchronous = FULL).
"""

import secrets
import sqlite3
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from bench.api import Frozen
from bench.errors import UserError
from bench.study.asked import known

APPLICATION = 0x73756273
"""Marks the file as a study (SQLite's application_id)."""
PATIENCE = 30.0
"""Seconds that a writer waits for others."""

SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = 1;
CREATE TABLE study (settings TEXT NOT NULL) STRICT;
CREATE TABLE image (id TEXT PRIMARY KEY, png BLOB NOT NULL) STRICT;
CREATE TABLE reference (
    subject TEXT NOT NULL,
    position INTEGER NOT NULL,
    image TEXT NOT NULL REFERENCES image,
    PRIMARY KEY (subject, position)
) STRICT;
CREATE TABLE pair (
    id INTEGER PRIMARY KEY,
    subject TEXT NOT NULL,
    prompt_index INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    prompt TEXT NOT NULL,
    a TEXT NOT NULL REFERENCES image,
    b TEXT NOT NULL REFERENCES image,
    source TEXT REFERENCES image,
    noise INTEGER NOT NULL CHECK (noise IN (0, 1))
) STRICT;
CREATE TABLE rater (
    token TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    consented TEXT,
    worker TEXT
) STRICT;
CREATE TABLE trial (
    id TEXT PRIMARY KEY,
    rater TEXT NOT NULL REFERENCES rater,
    position INTEGER NOT NULL,
    pair INTEGER NOT NULL REFERENCES pair,
    swapped INTEGER NOT NULL CHECK (swapped IN (0, 1)),
    UNIQUE (rater, position),
    UNIQUE (rater, pair)
) STRICT;
CREATE TABLE answer (
    trial TEXT NOT NULL REFERENCES trial,
    question TEXT NOT NULL,
    choice TEXT NOT NULL CHECK (choice IN ('left', 'right', 'equal')),
    at TEXT NOT NULL,
    PRIMARY KEY (trial, question)
) STRICT;
"""


class Settings(Frozen):
    """What a study is about and how raters are asked."""

    suite: str
    suite_identity: str
    protocol: str
    methods: tuple[str, str]
    """What A and B are called in reports; raters never see it."""
    runs: tuple[str, str]
    """Identities of A and B."""
    questions: tuple[Annotated[str, AfterValidator(known)], ...]
    per_rater: int = Field(ge=1)
    """Pairs for each rater, besides the catch trials."""
    forced: bool
    """Whether raters must choose a side."""
    seed: int
    consent: str


@contextmanager
def created(path: Path) -> Iterator[sqlite3.Connection]:
    """A new study, which is there once the context ends well. UserError for a file in its place."""
    if path.exists():
        raise UserError(f"There is a file {path} already; name another one with '-o'.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    _remove(part)
    try:
        with closing(_connected(part)) as connection:
            connection.executescript(SCHEMA)
            with transaction(connection):
                yield connection
            connection.execute("PRAGMA journal_mode = WAL")
        part.rename(path)
    finally:
        _remove(part)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A study that is there. UserError for a file that is none."""
    if not path.is_file():
        raise UserError(f"There is no file {path}; make a study with 'bench study new'.")
    with closing(_connected(path)) as connection:
        kind = None
        with suppress(sqlite3.DatabaseError):
            (kind,) = connection.execute("PRAGMA application_id").fetchone()
        if kind != APPLICATION:
            raise UserError(f"{path} is no study; name a file that 'bench study new' made.")
        try:
            if _tables(connection) != _own_tables():
                raise sqlite3.DatabaseError("its tables are not those of a study")
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"The study {path} cannot be used ({error}); name one that is whole, or try again."
            ) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def opaque() -> str:
    """An id that nobody guesses and that tells nothing: letters alone, 125 bits of chance.

    A dash in front would be a formula in a spreadsheet and an option of a command.
    """
    return "".join(secrets.choice(string.ascii_letters) for _ in range(22))


def settings_of(connection: sqlite3.Connection) -> Settings:
    """What the study is about. UserError for settings of another version of this package."""
    row = connection.execute("SELECT settings FROM study").fetchone()
    try:
        return Settings.model_validate_json(row["settings"] if row else b"")
    except ValidationError as error:
        raise UserError(
            "The study was made by another version of subjectbench; use that one to read it."
        ) from error


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Whoever adds a view or a trigger has statements of theirs run by ours."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {(row[0], row[1]) for row in rows}


@cache
def _own_tables() -> set[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return _tables(connection)


def _remove(part: Path) -> None:
    """With the journal that a kill leaves, which SQLite would play back into the next file."""
    for path in part.parent.glob(f"{part.name}*"):
        path.unlink()


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.row_factory = sqlite3.Row
    return connection
