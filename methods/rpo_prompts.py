"""What RPO asks for: its token before the subject's name, and the scenes that it trains on."""

import re
from collections.abc import Sequence
from pathlib import Path

from bench.api import Case
from bench.errors import UserError

SCENES = (
    "a {} in an old library",
    "a {} beside a waterfall",
    "a {} on a rooftop at dusk",
    "a {} in a greenhouse full of ferns",
    "a {} at a night market",
    "a {} in a desert with tall cacti",
    "a charcoal drawing of a {}",
    "an orange {}",
)
"""Of no suite, and for live subjects as for objects."""
MINI_SCENES = (
    "a {} in a forest by day",
    "a {} on a stage at night",
    "a {} on sand by day",
    "a {} in snow by day with a green tree on the right",
    "a {} on a street at sunset",
    "a {} at sea by day",
    "a {} on grass at night with a red lamp on the left",
    "a green {} in a room at night",
)
"""The same in the grammar of the mini world; none of them is asked by its suites."""

_TEMPLATE = re.compile(r"[^{}]*\{\}[^{}]*")


def scenes(file: Path | None, mini: bool) -> Sequence[str]:
    """The templates of a file, one a line, or the built-in ones. UserError for others."""
    if file is None:
        return MINI_SCENES if mini else SCENES
    if not file.is_file():
        raise UserError(f"There are no prompts at {file}; check the option 'prompts'.")
    lines = file.read_text(encoding="utf-8").splitlines()
    templates = [line.strip() for line in lines if line.strip()]
    if not templates or not all(map(_TEMPLATE.fullmatch, templates)):
        raise UserError(
            f"{file} must have a prompt in every line, with {{}} once where the subject's name "
            "goes; correct the file."
        )
    return templates


def named(token: str, name: str) -> str:
    """A subject's name with the token before it; without a token, the name."""
    return f"{token} {name}".strip()


def tokened(prompt: str, token: str, name: str) -> str:
    """A prompt with the token before the first mention of the subject's name."""
    return called(prompt, name, named(token, name))


def called(prompt: str, name: str, other: str) -> str:
    """A prompt with another name in place of the first mention of the subject's."""
    mention = rf"(?<!\w){re.escape(name)}(?!\w)"
    return re.sub(mention, lambda _: other, prompt, count=1)


def plain(cases: Sequence[Case], noun: str) -> list[str]:
    """What is asked, with the class's noun in place of the subject."""
    return [called(case.prompt, case.name, noun) for case in cases]
