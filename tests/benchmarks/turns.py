"""Works that take turns, so that whatever else a machine does meets all of them alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.benchmarks.scoring import say

Work = Callable[[], object]
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Taken:
    """What a work took, turn by turn: seconds, seconds of processors, peak memory in bytes."""

    seconds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)

    def __call__(self, work: Work) -> None:
        _forget_peak()
        began, busy = time.perf_counter(), time.process_time()
        work()
        finish()
        self.seconds.append(time.perf_counter() - began)
        self.busy.append(time.process_time() - busy)
        self.peaks.append(_peak())

    @property
    def figures(self) -> dict[str, float]:
        """Medians."""
        told = {"seconds": self.seconds, "busy": self.busy, "peaks": self.peaks}
        return {name: statistics.median(values) for name, values in told.items()}


def take_turns(works: Mapping[str, Work], rounds: int) -> dict[str, Taken]:
    """Every work once a round, each round beginning with another; a first round is not counted."""
    taken, names = {name: Taken() for name in works}, list(works)
    for name in names:
        works[name]()
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            taken[name](works[name])
    return taken


def compare(one: Taken, other: Taken) -> str:
    """Ratios of medians, the last of peak memory."""
    own, theirs = one.figures, other.figures
    ratios = {name: own[name] / theirs[name] if theirs[name] else 1.0 for name in own}
    return (
        f"time {ratios['seconds']:.3f}, processor time {ratios['busy']:.3f}, "
        f"peak memory {ratios['peaks']:.3f}"
    )


def say_where() -> None:
    """The load that figures were taken under."""
    say("load of the machine", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    say("threads", str(torch.get_num_threads()))


def finish() -> None:
    """Wait for an accelerator."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _forget_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif RESET.exists():
        RESET.write_text("5")


def _peak() -> float:
    """The accelerator's, or the process's where Linux tells it; else 0."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    if not STATUS.exists():
        return 0.0
    told = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return float(told["VmHWM"].split()[0]) * 1024
