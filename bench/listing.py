"""What there is, for `bench list`: names with one line each, without importing torch."""

import ast
import inspect
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from bench import registry
from bench.references import image_folder
from bench.registry import Kind
from bench.sources import SOURCES
from bench.suites import (
    Download,
    Suite,
    list_downloads,
    list_suites,
    prompts_for,
)

Listing = list[dict[str, str]]


def _registered(kind: Kind) -> Listing:
    named = sorted(registry.names(kind).items())
    modules = Counter(target.partition(":")[0] for _, target in named)
    return [
        {"name": name, "what": _first_line(target, modules), "target": target}
        for name, target in named
    ]


def _first_line(target: str, modules: Counter[str]) -> str:
    """The first docstring line of a module, or of its member where it holds several; unimported."""
    module, _, attribute = target.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return f"from {module}"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    named = (ast.ClassDef, ast.FunctionDef)
    members = {node.name: node for node in tree.body if isinstance(node, named)}
    told = members.get(attribute, tree) if modules[module] > 1 else tree
    return (ast.get_docstring(told) or f"from {module}").splitlines()[0]


def _suites() -> Listing:
    """Those whose official download is not here are listed too, with what is known of them."""
    here = {suite.key: _suite(suite) for suite in list_suites()}
    away = {key: _download(key, known) for key, known in list_downloads().items()}
    return [row for _, row in sorted({**away, **here}.items())]


def _suite(suite: Suite) -> dict[str, str]:
    prompts = sum(len(prompts_for(suite, subject)) for subject in suite.subjects)
    there = suite.source == "mini" or all(
        (image_folder(suite) / image.path).is_file() for image in suite.images
    )
    counts = (len(suite.subjects), prompts, str(len(suite.images)))
    return _line(suite.key, suite.title, *counts, suite.licence, there)


def _download(key: str, known: Download) -> dict[str, str]:
    return _line(key, known.title, known.subjects, known.prompts, "?", known.licence, False)


def _line(
    key: str, title: str, subjects: int, prompts: int, images: str, licence: str, here: bool
) -> dict[str, str]:
    state = "data here" if here else "data not here"
    counts = f"{subjects} subjects, {prompts} prompts, {images} reference images"
    return {
        "name": key,
        "what": f"{title} ({counts}; {licence}; {state})",
        "subjects": str(subjects),
        "prompts": str(prompts),
        "images": images,
        "licence": licence,
        "data": state,
    }


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
