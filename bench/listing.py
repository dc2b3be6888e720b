"""What there is, for `bench list`: names with one line each, without importing torch."""

import ast
import inspect
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bench import registry
from bench.registry import Kind
from bench.sources import SOURCES
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


def _metrics() -> Listing:
    """Every metric with its definition: the docstring of its class."""
    return [_metric(name) for name in sorted(registry.names("metric"))]


def _metric(name: str) -> dict[str, str]:
    metric = registry.load("metric", name)
    definition = " ".join((inspect.getdoc(metric) or "").split())
    return {
        "name": f"{name}@{metric.version}",
        "what": f"{metric.unit}, {'higher' if metric.higher_is_better else 'lower'} is better, "
        f"{SAID_OF[metric.kind]}; {metric.encoder} unless told otherwise",
        "definition": definition,
    }


def _encoders() -> Listing:
    return [
        {"name": name, "what": _weights_of(name), "target": target}
        for name, target in sorted(registry.names("encoder").items())
    ]


def _weights_of(name: str) -> str:
    """What the table of sources says: that of the longest name which this one begins with."""
    known = [source for source in SOURCES if name.startswith(source)]
    if not known:
        return "needs no weights of the list"
    source = SOURCES[max(known, key=len)]
    return f"{source.what} ({source.terms})"


SAID_OF = {"image": "one per image", "pair": "one per image", "set": "one per set of images"}
LISTS: dict[str, Callable[[], Listing]] = {
    "methods": lambda: _registered("method"),
    "suites": _suites,
    "metrics": _metrics,
    "encoders": _encoders,
    "backbones": lambda: _registered("backbone"),
}
