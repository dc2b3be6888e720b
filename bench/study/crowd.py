"""A study for a crowd platform: a table of tasks, a layout with their fields, and the images.

A row of ``tasks.csv`` is one rater's list of trials, put into the fields (``${...}``) of
``layout.html``; publish every row to one worker.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from sqlite3 import Connection

from bench.errors import UserError
from bench.markup import FORMULAS
from bench.store import write_atomically
from bench.study.asked import QUESTIONS, Asked
from bench.study.database import Settings, opened, settings_of
from bench.study.raters import add_raters, shown, trials_of

SIDES = {"left": "Left", "equal": "Both equally", "right": "Right"}
HEIGHT = 256
"""Of a strip of reference images, in pixels."""
FIELDS = ("trial", "prompt", "references", "source", "left", "right")
"""Columns of a trial, each with its number after it."""
STYLE = """\
body { font-family: sans-serif; max-width: 60rem; margin: auto }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem }
.pair img { width: 100% } .given img { height: 10rem; max-width: 100% }
fieldset { margin: .5rem 0 } label { margin-right: 1.5rem }"""


def export(path: Path, folder: Path, raters: int, url: str) -> int:
    """Add raters and write their lists to a new folder; returns how many trials a list has.

    ``url``: where the folder's ``images/`` will be reachable. UserError for a folder that is there.
    """
    if folder.exists():
        raise UserError(f"There is a folder {folder} already; name a new one with '--mturk'.")
    with opened(path) as connection:
        settings = settings_of(connection)
        album = _Album(connection, folder / "images", url.rstrip("/"))
        rows = [_row(connection, album, token) for token in add_raters(connection, raters)]
    count = len(rows[0]) // len(FIELDS)
    write_atomically(folder / "tasks.csv", _csv(rows))
    write_atomically(folder / "layout.html", layout(settings, count, bool(rows[0]["source_1"])))
    return count


def layout(settings: Settings, count: int, edits: bool) -> str:
    """The page of one list of ``count`` trials, as Amazon Mechanical Turk takes it."""
    asked = {name: QUESTIONS[name] for name in settings.questions}
    sides = {side: words for side, words in SIDES.items() if side != "equal" or not settings.forced}
    words = [f"<p>{_shown(part)}</p>" for part in settings.consent.split("\n\n")]
    rules = [f"<p><b>{one.title}.</b> {one.instruction}</p>" for one in asked.values()]
    trials = [_trial(number, asked, sides, edits) for number in range(1, count + 1)]
    return "\n".join(
        [
            '<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>',
            f"<style>\n{STYLE}\n</style>",
            '<crowd-form answer-format="flatten-objects">',
            *words,
            *rules,
            *trials,
            "</crowd-form>\n",
        ]
    )


def _trial(number: int, asked: dict[str, Asked], sides: dict[str, str], edits: bool) -> str:
    source = f'<img src="${{source_{number}}}" alt="To be edited">\n' if edits else ""
    lines = [_question(f"{name}_{number}", one, sides) for name, one in asked.items()]
    return f"""\
<hr>
<div class="given">
{source}<img src="${{references_{number}}}" alt="References">
<p><b>${{prompt_{number}}}</b></p>
</div>
<div class="pair">
<img src="${{left_{number}}}" alt="Left image"><img src="${{right_{number}}}" alt="Right image">
</div>
{chr(10).join(lines)}"""


def _question(name: str, asked: Asked, sides: dict[str, str]) -> str:
    choices = (
        f'<label><input type="radio" name="{name}" value="{side}" required> {words}</label>'
        for side, words in sides.items()
    )
    return f"<fieldset><legend>{asked.sentence}</legend>{''.join(choices)}</fieldset>"


@dataclass(frozen=True)
class _Album:
    """Writes images out under their ids, each once, and says where they will be."""

    connection: Connection
    folder: Path
    url: str

    def single(self, name: str | None) -> str:
        return self._kept(f"{name}.png", lambda: self._bytes(str(name))) if name else ""

    def strip(self, names: Sequence[str]) -> str:
        """Images side by side in one file."""
        if not names:
            return ""
        return self._kept(f"{names[0]}-strip.png", lambda: _strip([*map(self._bytes, names)]))

    def _bytes(self, name: str) -> bytes:
        row = self.connection.execute("SELECT png FROM image WHERE id = ?", (name,)).fetchone()
        return bytes(row["png"])

    def _kept(self, file: str, made: Callable[[], bytes]) -> str:
        if not (self.folder / file).exists():
            write_atomically(self.folder / file, made())
        return f"{self.url}/{file}"


def _strip(files: Sequence[bytes]) -> bytes:
    from PIL import Image

    images = [Image.open(io.BytesIO(file)) for file in files]
    sized = [image.resize((image.width * HEIGHT // image.height, HEIGHT)) for image in images]
    whole = Image.new("RGB", (sum(image.width for image in sized), HEIGHT))
    left = 0
    for image in sized:
        whole.paste(image, (left, 0))
        left += image.width
    buffer = io.BytesIO()
    whole.save(buffer, format="PNG")
    return buffer.getvalue()


def _row(connection: Connection, album: _Album, token: str) -> dict[str, str]:
    row: dict[str, str] = {}
    for number, trial in enumerate(trials_of(connection, token), start=1):
        told = shown(trial)
        fields = {
            "trial": told["trial"],
            # The platform puts fields into the page as they are.
            "prompt": _field(told["prompt"]),
            "references": album.strip(told["references"]),
            **{name: album.single(told[name]) for name in ("source", "left", "right")},
        }
        row |= {f"{name}_{number}": fields[name] for name in FIELDS}
    return row


def _shown(text: str) -> str:
    """Text as HTML in which the platform finds no field to fill."""
    return escape(text).replace("${", "&#36;{")


def _field(text: str) -> str:
    """Text for the page, which opens as no formula in a spreadsheet either."""
    escaped = _shown(text)
    return f"&#{ord(escaped[0])};{escaped[1:]}" if escaped.startswith(FORMULAS) else escaped


def _csv(rows: Sequence[dict[str, str]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
