"""A crowd platform's result file, read back into its study."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from sqlite3 import Connection
from typing import cast, get_args

from bench.errors import UserError
from bench.identity import identity
from bench.study.asked import Choice
from bench.study.database import Settings, opened, settings_of, transaction
from bench.study.raters import Conflict, Unknown, consent, keep

Record = Mapping[str, str]
"""A row of the file: ``Input.`` columns as in ``tasks.csv``, ``Answer.`` ones of the layout."""


def import_results(path: Path, results: Path) -> int:
    """Take over all that workers answered, whole or not at all; returns how many of them count.

    Rejected assignments are passed over; reading a file again changes nothing. Workers are known
    by a hash, so that lists of one worker are those of one rater. UserError for a file that is no
    result of this study, lacks an answer, or answers one list twice.
    """
    with opened(path) as connection, transaction(connection):
        settings = settings_of(connection)
        taken = 0
        for line, record in _records(results):
            if record.get("AssignmentStatus") != "Rejected":
                _take(connection, settings, record, f"{results}, line {line}")
                taken += 1
    return taken


def _take(connection: Connection, settings: Settings, record: Record, where: str) -> None:
    token = _token(connection, record, where)
    worker = identity([settings.identity, record["WorkerId"]])[:16]
    consent(connection, token)
    connection.execute("UPDATE rater SET worker = ? WHERE token = ?", (worker, token))
    for number, trial in _trials(record):
        choices = {name: _choice(record, f"{name}_{number}", where) for name in settings.questions}
        try:
            keep(connection, token, trial, choices)
        except Unknown as error:
            raise _foreign(where) from error
        except Conflict as error:
            raise UserError(
                f"{where}: this list was answered before, and otherwise; keep one of its answers "
                "and delete the others' lines."
            ) from error


def _trials(record: Record) -> Iterator[tuple[int, str]]:
    number = 1
    while trial := record.get(f"Input.trial_{number}"):
        yield number, trial
        number += 1


def _token(connection: Connection, record: Record, where: str) -> str:
    asked = (record.get("Input.trial_1", ""),)
    row = connection.execute("SELECT rater FROM trial WHERE id = ?", asked).fetchone()
    if row is None:
        raise _foreign(where)
    return str(row["rater"])


def _foreign(where: str) -> UserError:
    return UserError(f"{where}: this is no list of the study's; name its own result file.")


def _choice(record: Record, name: str, where: str) -> Choice:
    """Either one column with the side, or one for each side that says whether it was chosen."""
    sides = get_args(Choice)
    chosen = [side for side in sides if record.get(f"Answer.{name}.{side}", "").lower() == "true"]
    told = chosen[0] if len(chosen) == 1 else record.get(f"Answer.{name}")
    if told not in sides:
        raise UserError(
            f"{where}: there is no answer '{name}' that is one of {', '.join(sides)}; correct the "
            "line or delete it."
        )
    return cast(Choice, told)


def _records(results: Path) -> Iterator[tuple[int, Record]]:
    try:
        with results.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            if missing := {"WorkerId", "Input.trial_1"} - set(reader.fieldnames or ()):
                raise UserError(
                    f"{results} has no column {', '.join(sorted(missing))}; name the result file "
                    "as the platform gives it."
                )
            for record in reader:
                yield reader.line_num, record
    except OSError as error:
        raise UserError(f"There is no file {results}; name the platform's result file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{results} is no table in UTF-8 text; export it as CSV.") from error
