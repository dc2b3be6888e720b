"""Where things lie: what ships with the package, and what is kept for the user."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

import bench

CACHE = "SUBJECTBENCH_CACHE"


def home() -> Path:
    """The user's own folder: ``$SUBJECTBENCH_HOME``, or the platform's cache folder."""
    chosen = os.environ.get("SUBJECTBENCH_HOME")
    return Path(chosen).expanduser().absolute() if chosen else user_cache_path("subjectbench")


def cache() -> Path:
    """What is kept of earlier work for later: ``$SUBJECTBENCH_CACHE``, or a folder of ``home``."""
    chosen = os.environ.get(CACHE)
    return Path(chosen).expanduser().absolute() if chosen else home() / "cache"


@contextmanager
def cache_in(folder: Path) -> Iterator[None]:
    """Keep it elsewhere for a while, for work that must not rest on earlier work."""
    before = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder)
    try:
        yield
    finally:
        del os.environ[CACHE]
        if before is not None:
            os.environ[CACHE] = before


def datasets_folder() -> Path:
    """Where the suites are specified."""
    return _shipped("datasets")


def own_suites() -> Path:
    """Where the suites are specified that the user has made."""
    return home() / "suites"


def leaderboards_folder() -> Path:
    """Where the boards are."""
    return _shipped("leaderboards")


def _shipped(name: str) -> Path:
    """A data folder as an installed package carries it, else as it stands in the repository."""
    package = Path(bench.__file__).parent
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name
