"""What is wrong with a folder of images, and how it is said: a sentence, a table, JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from rich.table import Table
from rich.text import Text

from bench.api import Case, Frozen

Blocking = Literal["missing", "unreadable", "duplicate", "ambiguous"]
Noted = Literal["renumbered", "surplus", "size", "alpha", "mode", "frames", "identical"]
Kind = Blocking | Noted

BLOCKING: tuple[Kind, ...] = get_args(Blocking)
ORDER: tuple[Kind, ...] = (*BLOCKING, *get_args(Noted))
"""Of kinds in reports."""

EXAMPLES = 10
"""Faults of one kind that the table shows; with more missing, it counts them by subject."""

PHRASES = {
    "missing": ("is missing", "are missing"),
    "unreadable": ("cannot be read", "cannot be read"),
    "duplicate": ("has several files", "have several files"),
    "ambiguous": ("is in doubt", "are in doubt"),
}
"""What the sentence says of one image and of several."""

Usable = tuple[Case, Path, str]
"""A case, the one whole image that answers it, and the SHA-256 of that file."""


class Fault(Frozen):
    """Something about a file or a case, which ``where`` names, in a few words."""

    kind: Kind
    where: str
    words: str


class Report(Frozen):
    """What there is of the images asked for; the order of files changes nothing in it."""

    source: str
    asked: int
    images: tuple[Usable, ...]
    """In the order of the cases."""
    faults: tuple[Fault, ...]
    """By kind, then by name."""

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """Faults that leave a case without its image, or in doubt about it."""
        return tuple(fault for fault in self.faults if fault.kind in BLOCKING)

    @property
    def noted(self) -> tuple[Fault, ...]:
        """What does not hinder scoring but may explain a number."""
        return tuple(fault for fault in self.faults if fault.kind not in BLOCKING)

    @property
    def sentence(self) -> str:
        """The report in one sentence, with what to do."""
        if not self.blocking:
            return f"All {self.asked} images asked for are in {self.source}{self._remarks}."
        if not self.images:
            return (
                f"None of the {self.asked} images asked for can be used from {self.source}"
                f" ({self._counts}): name them <subject>/<prompt index>-<seed>.png, or give a "
                "manifest with the columns image, subject, prompt and seed."
            )
        return (
            f"Of {self.asked} images asked for in {self.source}, {self._counts}: mend this, or "
            f"score the {len(self.images)} that are in order with --allow-partial."
        )

    @property
    def _counts(self) -> str:
        counts = Counter(fault.kind for fault in self.blocking)
        *others, last = (f"{n} {PHRASES[kind][n > 1]}" for kind, n in counts.items())
        return f"{', '.join(others)} and {last}" if others else last

    @property
    def _remarks(self) -> str:
        counts = Counter(fault.kind for fault in self.noted)
        named = ", ".join(f"{kind} {n}" for kind, n in counts.items())
        return f"; noted: {named}" if named else ""

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints of it."""
        return {
            "source": self.source,
            "asked": self.asked,
            "usable": len(self.images),
            "blocking": [fault.model_dump() for fault in self.blocking],
            "noted": [fault.model_dump() for fault in self.noted],
        }

    def table(self) -> Table:
        """Faults by kind with their number and the first few of each."""
        table = Table("fault", title=f"Images in {self.source}", title_justify="left")
        table.add_column("n", justify="right")
        table.add_column("where", overflow="fold")
        table.add_column("what", overflow="fold")
        for kind, group in groupby(self.faults, key=lambda fault: fault.kind):
            faults = list(group)
            head = (Text(kind, "bold red" if kind in BLOCKING else "yellow"), str(len(faults)))
            for line in _lines(faults):
                table.add_row(*head, *map(Text, line))
                head = (Text(), "")
            table.add_section()
        return table


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """By kind, then by name."""
    return tuple(sorted(faults, key=lambda f: (ORDER.index(f.kind), f.where, f.words)))


def _lines(faults: Sequence[Fault]) -> list[tuple[str, str]]:
    """Where and what, for faults of one kind."""
    lines, things = [(fault.where, fault.words) for fault in faults], "more"
    if len(lines) > EXAMPLES and faults[0].kind == "missing":
        subjects = Counter(where.partition("/")[0] for where, _ in lines)
        lines = [(f"{name}/", f"{n} of its images") for name, n in subjects.most_common()]
        things = "more subjects"
    rest = len(lines) - EXAMPLES
    return [*lines[:EXAMPLES], *([("...", f"and {rest} {things}")] if rest > 0 else [])]
