"""What there is, for `bench list`: names with one line each, without importing torch."""

import ast
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bench import registry
from bench.registry import Kind
from bench.suites import list_suites

Listing = list[dict[str, str]]


def _registered(kind: Kind) -> Listing:
    return [
        {"name": name, "what": _first_line(target), "target": target}
        for name, target in sorted(registry.names(kind).items())
    ]


def _first_line(target: str) -> str:
    """The first docstring line of a module, read from its source."""
    module = target.partition(":")[0]
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return f"from {module}"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or f"from {module}").splitlines()[0]


def _suites() -> Listing:
    return [{"name": suite.key, "what": suite.title} for suite in list_suites()]


LISTS: dict[str, Callable[[], Listing]] = {
    "methods": lambda: _registered("method"),
    "suites": _suites,
    "metrics": lambda: _registered("metric"),
    "backbones": lambda: _registered("backbone"),
}
