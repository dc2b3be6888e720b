"""What code does the work: workers that have another one would make other images."""

import inspect
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import bench
from bench.errors import UserError
from bench.identity import file_digest, identity
from bench.results import installed

SOURCES = ("bench", "bench.methods", "bench.metrics")


@cache
def stamp() -> Mapping[str, str]:
    """Versions of Python, of this code and of the packages that it declares."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"Python": python, "subjectbench": _code(), **installed()}


def demand_same(wanted: Mapping[str, str]) -> None:
    """UserError where this process would work with something else than it was asked to."""
    here = stamp()
    for name in sorted(wanted.keys() | here.keys()):
        if wanted.get(name) != here.get(name):
            raise UserError(
                f"The worker on {platform.node()} has {_told(name, here)} and the run was started "
                f"with {_told(name, wanted)}: install the same on every machine, then run the same "
                "command again; everything finished is kept."
            )


def code_of(factory: Any) -> str:
    """Identity of this code and of the file in which a class or a function is defined.

    Someone's own method is trained anew when its file changes, whatever revision it says.
    """
    try:
        own = inspect.getsourcefile(factory)
    except (TypeError, OSError):
        own = None
    return identity([_code(), file_digest(Path(own)) if own else None])


def _told(name: str, versions: Mapping[str, str]) -> str:
    return f"{name} {versions[name][:16]}" if name in versions else f"no {name}"


def _code() -> str:
    """Identity of the sources, whatever version they say that they are."""
    folders = {Path(bench.__file__).parent, *map(_folder, SOURCES)}
    files = sorted({file for folder in folders for file in folder.rglob("*.py")})
    return identity([file_digest(file) for file in files])


def _folder(package: str) -> Path:
    from importlib.util import find_spec

    spec = find_spec(package)
    return Path(spec.origin or "").parent if spec else Path(bench.__file__).parent
