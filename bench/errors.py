"""What the user can mend is said in one clear sentence and ends with exit code 2."""

from collections.abc import Iterable
from difflib import get_close_matches

from bench.redaction import printable, redacted


class UserError(Exception):
    """What is wrong, where, and what to do; the command line prints it without a traceback.

    Whatever came into the sentence from outside, it holds no secrets and does nothing to terminals.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(redacted(sentence)))


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that nothing answers to, with the nearest names that something does."""
    names = sorted(valid)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}."
    return UserError(f"Unknown {kind} '{name}': {hint}")
