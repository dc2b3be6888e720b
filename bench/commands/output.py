"""How commands print: one JSON document, or text for people."""

import json
import sys
from typing import Annotated, Any

import typer

from bench.redaction import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def print_json(document: Any) -> None:
    """One document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def say(line: str) -> None:
    """A line on standard output, never wrapped: paths stay whole, and names do nothing."""
    from bench.terminal import stdout

    stdout.print(printable(line), soft_wrap=True, highlight=False, markup=False)
