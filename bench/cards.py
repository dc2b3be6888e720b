"""What is known of a method: its options, what its source says, and what that leaves open."""

from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from bench import registry
from bench.api import Card, Scope


@dataclass(frozen=True)
class Option:
    """One option: its default, where backbones change it, and what it does."""

    name: str
    default: str
    elsewhere: str
    what: str


@dataclass(frozen=True)
class MethodCard:
    """Everything ``bench show method`` tells."""

    name: str
    revision: int
    scope: Scope
    what: str
    options: tuple[Option, ...]
    card: Card | None


def method_card(name: str) -> MethodCard:
    """A registered method. UserError for unknown names."""
    factory = registry.load("method", name)
    fields = factory.Options.model_fields
    return MethodCard(
        name=name,
        revision=factory.revision,
        scope=factory.scope,
        what=getdoc(factory) or "",
        options=tuple(_option(factory, key, field) for key, field in fields.items()),
        card=getattr(factory, "card", None),
    )


def _option(factory: Any, key: str, field: Any) -> Option:
    changed = {
        backbone: values[key] for backbone, values in factory.overrides.items() if key in values
    }
    elsewhere = ", ".join(f"{backbone}: {value}" for backbone, value in changed.items())
    return Option(key, str(field.default), elsewhere, field.description or "")
