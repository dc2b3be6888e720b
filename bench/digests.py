"""Digests of weights, remembered, so that gigabytes are not read at every start."""

import json
import time
from pathlib import Path
from tempfile import NamedTemporaryFile

from bench.identity import file_digest, identity
from bench.paths import home

READ = frozenset((".safetensors", ".pth", ".pt", ".tar", ".bin", ".json", ".txt", ".model"))
"""What a network is read from; a page about it or a picture beside it changes no number."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a file may no longer change unseen within one tick of its clock."""


def digest(path: Path) -> str:
    """SHA-256 of a file, or the identity of a folder's files by their paths in it."""
    if not path.is_dir():
        return _file(path.absolute())
    return identity({name: _file(path.absolute() / name) for name in contents(path)})


def contents(folder: Path) -> list[str]:
    """Paths of the files that a network is read from, sorted; hidden ones are others' notes."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in paths
        if path.suffix in READ and not any(part.startswith(".") for part in path.parts)
    )


def _file(path: Path) -> str:
    state = _state(path)
    memory = home() / "cache" / "digests" / f"{identity(str(path))}.json"
    known = _recall(memory, state)
    if known is not None:
        return known
    found = file_digest(path)
    if time.time_ns() - state[1] > SETTLED and _state(path) == state:
        _remember(memory, [*state, found])
    return found


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _recall(memory: Path, state: tuple[int, int]) -> str | None:
    """What was remembered of a file in this state; a damaged memory is none."""
    try:
        size, changed, found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return None
    return found if (size, changed) == state and _is_digest(found) else None


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _remember(memory: Path, entry: list[int | str]) -> None:
    """Write whole or not at all: other processes read it; a home that is full needs no memory."""
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=memory.parent, suffix=".part", delete=False) as file:
            json.dump(entry, file)
        Path(file.name).replace(memory)
    except OSError:
        return
