"""Schemas: what other tools are told of a board's JSON."""

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from bench.paths import leaderboards_folder
from bench.schemas import schema_file, schema_of

SHIPPED = sorted(leaderboards_folder().glob("*/*/measured/*/row.json"))
OUTCOMES = sorted(leaderboards_folder().glob("*/*/reproduced/*.json"))


@pytest.mark.parametrize("name", ["row", "outcome"])
def test_schemas_are_schemas_and_say_their_version(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:subjectbench:{name}:1"
    assert schema["properties"]["schema_version"]["const"] == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_shipped_rows_are_valid_to_other_tools(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), schema_of("row"))


@pytest.mark.parametrize("path", OUTCOMES, ids=lambda path: path.stem)
def test_shipped_outcomes_are_valid_to_other_tools(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), schema_of("outcome"))


def test_a_row_with_a_field_that_nobody_knows_is_not_valid(make_run: Callable[..., Path]) -> None:
    told = json.loads((make_run("sfo") / "row.json").read_text())
    jsonschema.validate(told, schema_of("row"))
    with pytest.raises(jsonschema.ValidationError, match="'smuggled' was unexpected"):
        jsonschema.validate({**told, "smuggled": 1}, schema_of("row"))


def test_the_shipped_schemas_are_those_that_are_read_and_written() -> None:
    for name in ("row", "outcome"):
        kept = json.loads(schema_file(leaderboards_folder(), name).read_text())
        assert kept == schema_of(name)
