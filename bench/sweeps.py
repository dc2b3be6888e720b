"""Sweeps: many runs from one file, a list of them or the grid of all combinations."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue, ValidationError

from bench.api import Frozen
from bench.documents import MALFORMED, toml_of
from bench.errors import UserError
from bench.pieces import Job
from bench.plan import Request, make_plan

MOST = 10_000
"""Runs of a sweep: more are a slip in a grid."""
SHOWN = 3
"""Settings in which a label says how a run differs from the others."""


class Entry(Frozen):
    """One run of a sweep, as the options of ``bench run`` have it."""

    method: str
    suite: str
    protocol: str | None = None
    backbone: str | None = None
    guidance: str | None = None
    limit_subjects: int | None = None
    seeds: int | None = None
    vanilla: Path | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def request(self) -> Request:
        """What is asked for."""
        told = self.model_dump(exclude={"vanilla", "options"})
        return Request(**told, options={key: _word(value) for key, value in self.options.items()})

    @property
    def settings(self) -> dict[str, str]:
        """All that is set, by name."""
        told = self.model_dump(mode="json", exclude={"options"}, exclude_none=True)
        return {name: _word(value) for name, value in {**told, **self.options}.items()}


def read_sweep(path: Path) -> list[Entry]:
    """The runs of a sweep file, in its order: ``[[run]]`` tables, then each ``[[grid]]``.

    A grid is a run in which lists stand for alternatives; ``[defaults]`` holds for all that do not
    say otherwise. UserError that names the file and the first thing that is wrong.
    """
    try:
        told = toml_of(path)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}; give the TOML file of a sweep.") from error
    except MALFORMED as error:
        raise UserError(f"{path} cannot be read as TOML: {error}.") from error
    surplus = sorted(told.keys() - {"defaults", "run", "grid"})
    if surplus:
        raise UserError(
            f"{path} holds '{surplus[0]}', which is no part of a sweep: it has [defaults], [[run]] "
            "and [[grid]]."
        )
    defaults = _tables(path, told, "defaults")
    common = defaults[0] if defaults else {}
    runs = [*_tables(path, told, "run"), *_expanded(path, _tables(path, told, "grid"))]
    if not runs:
        raise UserError(f"{path} names no run: add a [[run]] or a [[grid]] table.")
    return [_entry(path, number, common, run) for number, run in enumerate(runs, start=1)]


def jobs_of(entries: Sequence[Entry], root: str = "runs") -> list[Job]:
    """What is to be done, none twice: runs that come to the same plan are one. UserError as run."""
    jobs: dict[tuple[str, Path | None], Job] = {}
    for entry, label in zip(entries, labels(entries), strict=True):
        plan = make_plan(entry.request)
        key = plan.identity, entry.vanilla
        jobs.setdefault(key, Job(plan, entry.vanilla, None, root, label))
    return list(jobs.values())


def labels(entries: Sequence[Entry]) -> list[str]:
    """Each run's method, with what tells it from others of that method; a number at the worst."""
    told = [
        _label(entry, [one for one in entries if one.method == entry.method]) for entry in entries
    ]
    return [
        label if told.count(label) == 1 else f"{label} #{number}"
        for number, label in enumerate(told, start=1)
    ]


def _label(entry: Entry, alike: Sequence[Entry]) -> str:
    settings = [one.settings for one in alike]
    names = dict.fromkeys(name for one in settings for name in one)
    differing = [name for name in names if len({one.get(name) for one in settings}) > 1]
    own = entry.settings
    words = [_short(name, own[name]) for name in differing[:SHOWN] if name in own]
    return " ".join([entry.method, *words])


def _tables(path: Path, told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = told.get(name, [])
    tables = [found] if isinstance(found, dict) else found
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UserError(f"{path}: '{name}' must be a table; write it as [[{name}]].")
    return tables


def _expanded(path: Path, grids: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    count = 0
    for grid in grids:
        options = grid.get("options", {})
        options = options if isinstance(options, dict) else {}
        axes = {("", name): value for name, value in grid.items() if name != "options"}
        axes |= {("options", name): value for name, value in options.items()}
        for chosen in product(*(v if isinstance(v, list) else [v] for v in axes.values())):
            count += 1
            if count > MOST:
                raise UserError(f"{path} asks for more than {MOST} runs; split the grid.")
            yield _run(dict(zip(axes, chosen, strict=True)))


def _run(chosen: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    run: dict[str, Any] = {name: value for (table, name), value in chosen.items() if not table}
    options = {name: value for (table, name), value in chosen.items() if table}
    return {**run, "options": options} if options else run


def _entry(path: Path, number: int, defaults: Mapping[str, Any], run: Mapping[str, Any]) -> Entry:
    try:
        options = {**defaults.get("options", {}), **run.get("options", {})}
        return Entry.model_validate({**defaults, **run, "options": options})
    except TypeError:
        what = "'options' must be a table, as in options = {beta = 100}"
    except ValidationError as error:
        first = error.errors()[0]
        what = f"'{'.'.join(map(str, first['loc']))}': {first['msg']}"
    raise UserError(f"Run {number} of {path} does not fit: {what}.")


def _word(value: JsonValue) -> str:
    """As it is written after ``--set``."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(name: str, value: str) -> str:
    """A setting in a label: names of things as they are, numbers with what they are of."""
    plain = name in ("method", "guidance", "backbone", "suite", "protocol")
    told = value if plain else f"{name}={value}"
    return re.sub(r"\s+", " ", told)[:40]
