"""Text from outside in documents of other languages: shown there as it is, obeyed by none."""

import re
from collections.abc import Mapping

_TEXT = str.maketrans({"\n": " ", "\r": " ", **{letter: f"\\{letter}" for letter in "\\`|[]"}})
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|&(?=[A-Za-z#])")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets calculate."""


def in_markdown(text: str) -> str:
    """Text of one line: no HTML, link, image or code, and no end of a table's cell."""
    return _MARKUP.sub(lambda found: _ENTITIES[found[0]], text.translate(_TEXT))


def in_cell(text: str) -> str:
    """As ``in_markdown``, for cells with intervals, whose brackets lead nowhere and stay."""
    return re.sub(r"\\([\[\]])", r"\1", in_markdown(text)).replace("](", "]\\(")


def in_note(text: str) -> str:
    """As ``in_cell``, for lines that quote code: it may hide what follows in the line, no more."""
    return in_cell(text).replace("\\`", "`")


def in_spreadsheet(record: Mapping[str, object]) -> dict[str, object]:
    """A record of which spreadsheets calculate nothing; numbers stay numbers."""
    return {k: _uncalculated(v) if isinstance(v, str) else v for k, v in record.items()}


def _uncalculated(text: str) -> str:
    """On one line too: not every version of ``csv`` puts a carriage return between quotes."""
    line = text.replace("\r", " ")
    return f"'{line}" if line.startswith(FORMULAS) else line
