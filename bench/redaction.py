"""Text that may be shown: without secrets, and without what would act on a terminal."""

import os
import re

HIDDEN = "***"
SHORTEST = 8
"""Characters of a variable's value that may be a secret; shorter ones are words of every day."""
_NAMES = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY", re.IGNORECASE
)
_OWNER = re.compile(r"(?<=://)[^/?#\s@]*+@")
_QUERY = re.compile(
    r"([?&;][^=&;\s]*(?:token|secret|passw|credential|signature|sig|key|auth)[^=&;\s]*=)[^&;\s'\")]+",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\bhf_[A-Za-z0-9]{16,}|\bA[KS]IA[A-Z0-9]{12,}|\bgh[a-z]_[A-Za-z0-9]{16,}"
    r"|(?<=Bearer )\S+|(?<=Basic )\S+"
)
_ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def redacted(text: str) -> str:
    """Text without the values of secret environment variables, and without tokens in addresses."""
    for value in _secrets():
        text = text.replace(value, HIDDEN)
    text = _QUERY.sub(rf"\g<1>{HIDDEN}", _OWNER.sub(f"{HIDDEN}@", text))
    return _SHAPES.sub(HIDDEN, text)


def printable(text: str) -> str:
    """Text whose control characters, marks of direction and broken letters are seen, not obeyed."""
    visible = _ACTING.sub(lambda found: ascii(found[0])[1:-1], text)
    return visible.encode("utf-8", "backslashreplace").decode("utf-8")


def _secrets() -> list[str]:
    """The longest first: one may hold another."""
    named = (value for name, value in os.environ.items() if _NAMES.search(name))
    return sorted({value for value in named if len(value) >= SHORTEST}, key=len, reverse=True)
