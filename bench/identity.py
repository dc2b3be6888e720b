"""Identity is a hash of a frozen specification: the resume key, the cache key, the board key."""

import hashlib
import json
from pathlib import Path
from typing import Any

Json = Any
"""What JSON can hold: None, bool, int, float, str, lists and string-keyed dictionaries."""


def canonical(value: Json) -> str:
    """The one spelling of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def identity(value: Json) -> str:
    """SHA-256 of the canonical spelling, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seed_of(*parts: str | int) -> int:
    """A seed in [0, 2^63) that follows from its parts alone."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
