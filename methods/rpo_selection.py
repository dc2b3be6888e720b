"""Which of a training's moments is kept: the one that was worth most when it was looked at."""

import json
import math
from collections.abc import Callable
from pathlib import Path

from bench.store import write_atomically


class Selection:
    """The best of the steps that are offered, of equal ones the earliest.

    ``worth`` judges the moment of an offer and ``keep`` stores it; ``file`` remembers what every
    step was worth, so that a resumed training looks at none twice.
    """

    def __init__(self, file: Path, worth: Callable[[], float], keep: Callable[[], None]) -> None:
        self._file, self._worth, self._keep = file, worth, keep
        self.worths: dict[int, float] = {}
        if file.is_file():
            known = json.loads(file.read_text(encoding="utf-8"))
            self.worths = {int(step): float(worth) for step, worth in known.items()}

    def offer(self, step: int) -> None:
        """Judge this moment, unless it was judged before."""
        if step in self.worths:
            return
        worth = self._worth()
        if worth > (-math.inf if self.best is None else self.worths[self.best]):
            self._keep()
        # remembered last: a kill in between has it judged and kept again, with the same outcome
        self.worths[step] = worth
        write_atomically(self._file, json.dumps(self.worths) + "\n")

    @property
    def best(self) -> int | None:
        """The step that was kept; None where none was worth a number."""
        numbers = {step: worth for step, worth in self.worths.items() if not math.isnan(worth)}
        return max(numbers, key=lambda step: (numbers[step], -step), default=None)
