"""What runs are called beside each other: what they are, and in what they differ."""

import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from bench.redaction import printable
from bench.results import RunResult

RULE = "rule"
"""The option that holds a guidance; its text needs no name before it."""
LONGEST = 40
"""Characters of a value that are shown in a name."""
DIGEST = 64
"""Characters of a digest, of which a name shows the first twelve."""

Settings = Mapping[str, JsonValue]
Head = tuple[str, ...]
"""What is said of one, and what else a reader sees beside it."""


def named(result: RunResult) -> str:
    """The method with its revision and guidance, or where brought images come from."""
    if result.origin != "run":
        return f"{result.method} ({result.origin})"
    rule = result.options.get(RULE)
    return f"{result.method} r{result.method_revision}" + (
        f", {printable(str(rule))}" if rule else ""
    )


def row_names(results: Sequence[RunResult]) -> list[str]:
    """What the rows of a table are called, in which their backbones stand beside.

    Rows that would read alike say the options in which they differ.
    """
    heads = [(named(result), result.backbone, str(result.limited)) for result in results]
    return told_apart(heads, [result.options for result in results])


def names(chosen: Sequence[Settings]) -> list[str]:
    """A name for each: its method, and what others of that method set otherwise."""
    return told_apart([(str(one["method"]),) for one in chosen], chosen)


def settings(result: RunResult) -> dict[str, JsonValue]:
    """All that a run's user may have chosen; its method comes first."""
    made: dict[str, JsonValue] = {"method": result.method, "backbone": result.backbone}
    return {**made, "revision": result.method_revision, **result.options}


def told_apart(heads: Sequence[Head], chosen: Sequence[Settings]) -> list[str]:
    """What is said of each, and what others of the same head set otherwise.

    Digests are said where nothing else differs, and numbers where these do not either.
    """
    for digests in (False, True):
        heads = list(_longer(heads, [_part(one, digests) for one in chosen]))
    many, seen, told = Counter(heads), Counter[Head](), []
    for head in heads:
        seen[head] += 1
        told.append(f"{head[0]} ({seen[head]})" if many[head] > 1 else head[0])
    return told


def folded(name: str, width: int) -> list[str]:
    """A name in lines of at most so many characters, broken between its parts where that can be."""
    lines = textwrap.wrap(" ".join(parts(name)), width)
    return [line.replace(": ", ":") for line in lines]


def parts(name: str) -> list[str]:
    """A name cut where a narrow page may break it, though there is no space."""
    return re.split(r"(?<=,)(?=\S)|(?<=:)(?=[^,\s]*=)", name)


def _part(chosen: Settings, digests: bool) -> Settings:
    return {key: value for key, value in chosen.items() if _is_digest(value) == digests}


def _is_digest(value: JsonValue) -> bool:
    return isinstance(value, str) and len(value) == DIGEST and set(value) <= set("0123456789abcdef")


def _longer(heads: Sequence[Head], chosen: Sequence[Settings]) -> Iterator[Head]:
    alike: dict[Head, list[Settings]] = defaultdict(list)
    for head, one in zip(heads, chosen, strict=True):
        alike[head].append(one)
    for head, one in zip(heads, chosen, strict=True):
        yield ", ".join([head[0], *_differing(one, alike[head])]), *head[1:]


def _differing(one: Settings, others: Sequence[Settings]) -> Iterator[str]:
    for key, value in one.items():
        if any(other.get(key) != value for other in others):
            yield _written(key, value)


def _written(key: str, value: JsonValue) -> str:
    """As it is written on the command line."""
    short = printable(str(value))[: 12 if _is_digest(value) else LONGEST]
    if value is None or isinstance(value, bool):
        short = short.lower()
    return short if key == RULE else f"{key}={short}"
