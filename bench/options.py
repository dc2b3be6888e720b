"""Method options: ``KEY=VALUE`` pairs to a validated, frozen model."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from bench.api import Frozen
from bench.errors import UserError, unknown


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """``["beta=500", ...]`` to a dictionary; the last of equal keys wins."""
    parsed = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"'{pair}' is no option: write it as KEY=VALUE.")
        parsed[key.strip()] = value.strip()
    return parsed


def resolve(
    method: str, model: type[Frozen], overrides: Mapping[str, Any], given: Mapping[str, str]
) -> Frozen:
    """The method's defaults, over them the backbone's, over them what the user gave.

    UserError for unknown options and for values that do not fit.
    """
    for key in given:
        if key not in model.model_fields:
            raise unknown(f"option of {method}", key, model.model_fields)
    values = {key: _said(model, key, value) for key, value in given.items()}
    try:
        return model.model_validate({**overrides, **values})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"The option {key}={given.get(key, '')} of {method} does not fit: {first['msg']}."
        ) from error


def _said(model: type[Frozen], key: str, value: str) -> str | None:
    """``none`` is a value like any other where an option cannot be without one."""
    optional = type(None) in get_args(model.model_fields[key].annotation)
    return None if value == "none" and optional else value
