"""Documents a little wrong: strategies of damaged bytes, and of strange values in their place."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from bench.errors import UserError

DEEP: Any = "deep"
for _ in range(300):
    DEEP = [DEEP]
STRANGE = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        "",
        "..",
        "../../x",
        "/etc/passwd",
        "a\x00b",
        "\u202e",
        "\x1b[2J",
        "<script>alert(1)</script>",
        "x" * 5000,
        "9" * 5000,
        "{0.__class__}",
        "{:>99999999999}",
        [],
        [[]],
        {},
        {"a": 1},
        DEEP,
    ]
)

KEYS = (
    "title",
    "source",
    "headline",
    "download",
    "images_of",
    "world",
    "name",
    "seeds",
    "metrics",
    "input_reference",
    "fixed_reference",
    "tables",
    "rows",
    "runs",
    "orderings",
    "version",
)
"""Of the TOML files that are read here."""


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes changed, put in or taken out in a few places, cut off, or others altogether."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        piece = draw(st.binary(min_size=1, max_size=8))
        match draw(st.sampled_from(("change", "insert", "remove", "cut", "replace"))):
            case "change":
                content[place : place + len(piece)] = piece
            case "insert":
                content[place:place] = piece
            case "remove":
                del content[place : place + len(piece)]
            case "cut":
                del content[place:]
            case "replace":
                content = bytearray(draw(st.binary(max_size=64)))
    return bytes(content)


@st.composite
def twisted(draw: st.DrawFn, document: Any) -> Any:
    """A document of which one node, somewhere, is strange, gone or in excess."""
    if not isinstance(document, dict | list) or not document or draw(st.integers(0, 5)) == 0:
        return draw(STRANGE)
    changed = json.loads(json.dumps(document))
    keys = list(changed) if isinstance(changed, dict) else list(range(len(changed)))
    key = draw(st.sampled_from(keys))
    match draw(st.sampled_from(("twist", "twist", "twist", "remove", "add"))):
        case "twist":
            changed[key] = draw(twisted(changed[key]))
        case "remove":
            del changed[key]
        case "add" if isinstance(changed, dict):
            changed["surplus"] = draw(STRANGE)
        case _:
            changed.append(draw(STRANGE))
    return changed


def toml_lines() -> st.SearchStrategy[bytes]:
    """Lines that are nearly TOML: known keys with strange values, and nests."""
    keys = st.sampled_from(KEYS)
    values = st.sampled_from(
        ["1", "-1", "'x'", "'../../x.tsv'", "'none'", "[]", "{}", "[[1]]", "nan", "inf", "9" * 5000]
    ) | st.integers(1, 3000).map(lambda depth: "[" * depth)
    line = st.tuples(keys, values).map(" = ".join) | keys.map("[{}]".format)
    return st.lists(line | keys.map("[[{}]]".format), max_size=8).map("\n".join).map(str.encode)


def refused_or_read(read: Callable[[], object]) -> bool:
    """Whether it was read; refusing it in a sentence is as good, and nothing else is."""
    try:
        read()
    except UserError as refusal:
        sentence = str(refusal)
        assert sentence and "\x1b" not in sentence and "Traceback" not in sentence
        return False
    return True
