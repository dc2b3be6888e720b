"""Captions that are wrong about the subject: read from a file, or written by a local model."""

import json
from pathlib import Path

from bench.errors import UserError


def read_captions(file: Path) -> dict[int, str]:
    """Index to caption. UserError, naming the line, for a file that cannot be read."""
    captions: dict[int, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the captions {file} ({error}); check the path.") from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            captions[int(entry["index"])] = str(entry["caption"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{file}, line {number}, is no caption; write {{"index": 0, "caption": "..."}}.'
            ) from error
    return captions
