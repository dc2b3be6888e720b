"""Methods over a stock pipeline draw with the backbone made for them, and with no other."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench import registry
from bench.errors import UserError

METHODS = ["kontext", "ip-adapter-flux", "diptych"]


@pytest.mark.parametrize("name", METHODS)
def test_another_backbone_is_refused_with_the_one_to_name(name: str) -> None:
    factory = registry.load("method", name)
    other: Any = SimpleNamespace(spec=SimpleNamespace(name="mini"))
    with pytest.raises(UserError) as error:
        factory(other, factory.Options())
    [backbone] = {factory.backbone_name} & registry.names("backbone").keys()
    assert f"'{name}' does not draw with the backbone mini" in str(error.value)
    assert f"--backbone {backbone}" in str(error.value)


@pytest.mark.parametrize("name", METHODS)
def test_every_option_says_what_it_is(name: str) -> None:
    fields = registry.load("method", name).Options.model_fields
    assert {"steps", "guidance"} < set(fields)
    assert all(field.description for field in fields.values())
