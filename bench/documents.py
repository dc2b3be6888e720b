"""Documents that anybody may have written: read within bounds, or refused by errors of a few kinds.

A parser meets what its author never thought of; whoever reads a document of others catches
``MALFORMED`` and says which file it was.
"""

import csv
import json
import re
import tomllib
from pathlib import Path
from typing import Any

MALFORMED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
)
"""What reading a document, and taking it for what it should be, may raise."""
TOML_BYTES = 4 << 20
JSON_BYTES = 256 << 20
_LONG_KEY = re.compile(r"""(?:\.[ \t]*+(?:"[^"\n]*+"|'[^'\n]*+'|[\w-]++)[ \t]*+){32}""")
"""A key of so many parts that reading it takes time with their square."""
_LEADS_OUT = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\\\x00-\x1f\x7f]")


def text_of(path: Path, most: int) -> str:
    """The UTF-8 text of a file of at most ``most`` bytes.

    OSError and ValueError for a file that is longer, no text, or a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most >> 20} MB")
    return content.decode("utf-8")


def toml_of(path: Path) -> dict[str, Any]:
    """A TOML file. One of ``MALFORMED`` where it is none, or would take very long."""
    text = text_of(path, TOML_BYTES)
    if _LONG_KEY.search(text):
        raise ValueError("it has a key of very many parts")
    return tomllib.loads(text)


def json_of(path: Path) -> Any:
    """A JSON file. One of ``MALFORMED`` where it is none."""
    return json.loads(text_of(path, JSON_BYTES))


def inside(name: str) -> str:
    """A path with ``/`` that stays below the folder it is put into. ValueError for any other."""
    if _LEADS_OUT.search(name):
        raise ValueError(f"{name!r} is no plain path inside a folder")
    return name
