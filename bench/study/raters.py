"""Raters: their links, what each sees next, and their answers, given once and kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Any

from bench.errors import UserError
from bench.study.asked import QUESTIONS, Choice
from bench.study.database import Settings, opaque, settings_of, transaction
from bench.study.draw import Shown, trials

Choices = Mapping[str, Choice]
"""Question to the side that was chosen."""


class Unknown(LookupError):
    """Nothing of the kind belongs to this rater."""


class Conflict(ValueError):
    """The trial was answered otherwise before; the first answer stands."""


class NotAsked(UserError):
    """An answer that the study does not ask for, or lacks."""


def add_raters(connection: Connection, count: int) -> list[str]:
    """Tokens of new raters, each with a list of trials of their own."""
    settings = settings_of(connection)
    with transaction(connection):
        return [_add_rater(connection, settings) for _ in range(count)]


def tokens(connection: Connection) -> list[str]:
    """Of every rater, in the order in which they were added."""
    rows = connection.execute("SELECT token FROM rater ORDER BY number")
    return [row["token"] for row in rows]


def consent(connection: Connection, token: str) -> None:
    """Note when a rater agreed to take part, once. Unknown for a token that is none."""
    _rater(connection, token)
    connection.execute(
        "UPDATE rater SET consented = ? WHERE token = ? AND consented IS NULL", (_now(), token)
    )


def view(connection: Connection, token: str) -> dict[str, Any]:
    """All that a rater is told next: the consent, a trial, or that there is no more.

    Unknown for a token that is none.
    """
    settings = settings_of(connection)
    rater = _rater(connection, token)
    rows = trials_of(connection, token)
    left = [row for row in rows if not row["answered"]]
    told = {"of": len(rows), "forced": settings.forced, "questions": _questions(settings)}
    if rater["consented"] is None:
        return {"state": "consent", "consent": settings.consent.split("\n\n"), **told}
    if not left:
        return {"state": "done", **told}
    return {"state": "trial", "number": len(rows) - len(left) + 1, **told, **shown(left[0])}


def trials_of(connection: Connection, token: str) -> list[Row]:
    """A rater's trials in their order, and whether each was answered."""
    return connection.execute(
        "SELECT trial.id AS trial, swapped, pair.*, EXISTS "
        "(SELECT 1 FROM answer WHERE answer.trial = trial.id) AS answered, "
        "(SELECT group_concat(image, ' ') FROM (SELECT image FROM reference "
        "WHERE reference.subject = pair.subject ORDER BY position)) AS photographs "
        "FROM trial JOIN pair ON pair.id = trial.pair WHERE rater = ? ORDER BY trial.position",
        (token,),
    ).fetchall()


def shown(row: Row) -> dict[str, Any]:
    """What is on the screen in a trial: ids of images, the left one first, and the text."""
    left, right = (row["b"], row["a"]) if row["swapped"] else (row["a"], row["b"])
    return {
        "trial": row["trial"],
        "prompt": row["prompt"],
        "references": (row["photographs"] or "").split(),
        "source": row["source"],
        "left": left,
        "right": right,
    }


def image_for(connection: Connection, token: str, image: str) -> bytes:
    """A PNG that this rater has to see. Unknown for every other."""
    rows = trials_of(connection, token)
    if image not in {name for row in rows for name in _images(row)}:
        raise Unknown(image)
    found = connection.execute("SELECT png FROM image WHERE id = ?", (image,)).fetchone()
    return bytes(found["png"])


def answer(connection: Connection, token: str, trial: str, choices: Choices) -> None:
    """Keep an answer to all questions of a trial, whole or not at all; again changes nothing.

    Unknown for a trial of nobody or of somebody else, or before the consent; NotAsked where the
    questions are not those of the study; Conflict where another answer stands.
    """
    with transaction(connection):
        _demand_asked(settings_of(connection), choices)
        if _rater(connection, token)["consented"] is None:
            raise Unknown(trial)
        keep(connection, token, trial, choices)


def keep(connection: Connection, token: str, trial: str, choices: Choices) -> None:
    """As ``answer``, inside a transaction of the caller's."""
    where = (trial, token)
    if not connection.execute("SELECT 1 FROM trial WHERE id = ? AND rater = ?", where).fetchone():
        raise Unknown(trial)
    rows = connection.execute("SELECT question, choice FROM answer WHERE trial = ?", (trial,))
    before = {row["question"]: row["choice"] for row in rows}
    if before and before != choices:
        raise Conflict(trial)
    if not before:
        told = [(trial, question, choice, _now()) for question, choice in choices.items()]
        connection.executemany("INSERT INTO answer VALUES (?, ?, ?, ?)", told)


def _add_rater(connection: Connection, settings: Settings) -> str:
    token = opaque()
    (number,) = connection.execute("SELECT count(*) FROM rater").fetchone()
    connection.execute("INSERT INTO rater (token, number) VALUES (?, ?)", (token, number))
    rows = _trials(connection, settings, number)
    connection.executemany(
        "INSERT INTO trial VALUES (?, ?, ?, ?, ?)",
        [(opaque(), token, place, one.pair, one.swapped) for place, one in enumerate(rows)],
    )
    return token


def _trials(connection: Connection, settings: Settings, number: int) -> Sequence[Shown]:
    rows = connection.execute(
        "SELECT id, noise, (SELECT count(*) FROM trial WHERE pair = pair.id) AS raters FROM pair"
    ).fetchall()
    raters = {row["id"]: row["raters"] for row in rows if not row["noise"]}
    catches = [row["id"] for row in rows if row["noise"]]
    return trials(raters, catches, settings.per_rater, settings.seed, number)


def _rater(connection: Connection, token: str) -> Row:
    row: Row | None = connection.execute("SELECT * FROM rater WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise Unknown(token)
    return row


def _questions(settings: Settings) -> list[dict[str, str]]:
    return [{"name": name, **vars(QUESTIONS[name])} for name in settings.questions]


def _images(row: Row) -> list[str]:
    told = shown(row)
    return [*told["references"], told["left"], told["right"], told["source"]]


def _demand_asked(settings: Settings, choices: Choices) -> None:
    if set(choices) != set(settings.questions):
        raise NotAsked(f"Answer these questions: {', '.join(settings.questions)}.")
    if settings.forced and "equal" in choices.values():
        raise NotAsked("This study wants a side chosen: 'left' or 'right'.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
