"""JSON Schemas of what boards hold, for those who read it with other tools."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from bench.documents import MALFORMED, json_of
from bench.errors import UserError
from bench.outcomes import Outcome
from bench.results import RunResult
from bench.store import write_atomically

SCHEMAS = "schema"
"""Their folder among the leaderboards."""
MODELS: dict[str, type[BaseModel]] = {"row": RunResult, "outcome": Outcome}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """The schema of ``row`` or ``outcome``; its identifier ends in the schema's version."""
    model = MODELS[name]
    identifier = f"urn:subjectbench:{name}:{_version(model)}"
    return {"$schema": DIALECT, "$id": identifier, **model.model_json_schema()}


def schema_file(leaderboards: Path, name: str) -> Path:
    """``schema/<name>-<version>.json``."""
    return leaderboards / SCHEMAS / f"{name}-{_version(MODELS[name])}.json"


def write_schemas(leaderboards: Path) -> None:
    """Write every schema; earlier versions stay."""
    for name in MODELS:
        text = json.dumps(schema_of(name), indent=2, ensure_ascii=False) + "\n"
        write_atomically(schema_file(leaderboards, name), text)


def schema_problems(leaderboards: Path) -> Iterator[str]:
    """Every schema that is not what this version reads and writes, one sentence each."""
    for name in MODELS:
        path = schema_file(leaderboards, name)
        if _read(path) != schema_of(name):
            yield f"{path} is stale: run 'bench board build'"


def _read(path: Path) -> Any:
    try:
        return json_of(path)
    except FileNotFoundError:
        return None
    except MALFORMED as error:
        raise UserError(f"{path} cannot be read ({error}): run 'bench board build'.") from error


def _version(model: type[BaseModel]) -> int:
    version: int = get_args(model.model_fields["schema_version"].annotation)[0]
    return version
