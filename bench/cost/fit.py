"""Whether a run fits this machine, said before it starts.

Images and checkpoints are known well enough to refuse a disk that is too small; of memory, only
that weights alone exceed it.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cost.devices import Device
from bench.cost.forecast import Asked, Claims, Forecast, forecast
from bench.errors import UserError
from bench.paths import CACHE, cache
from bench.plan import NO_BACKBONE, Plan


@dataclass(frozen=True)
class Disk:
    """What is needed in some folders of one file system, and what is free there, in bytes."""

    folders: tuple[Path, ...]
    needed: float
    free: float

    @property
    def fits(self) -> bool:
        return self.needed <= self.free

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it, in GB (1e9)."""
        return {
            "folders": [str(folder) for folder in self.folders],
            "needed_gb": float(f"{self.needed / 1e9:.4g}"),
            "free_gb": float(f"{self.free / 1e9:.4g}"),
            "fits": self.fits,
        }


@dataclass(frozen=True)
class Memory:
    """What weights alone take of a device and what may be needed at once, in bytes."""

    device: Device
    weights: float
    needed: float

    @property
    def fits(self) -> bool:
        return self.weights <= self.device.memory

    @property
    def is_tight(self) -> bool:
        return self.needed > self.device.memory

    @property
    def document(self) -> dict[str, Any]:
        """As JSON has it, in GB (1e9)."""
        return {
            "device": self.device.name,
            "device_gb": float(f"{self.device.memory / 1e9:.4g}"),
            "weights_gb": float(f"{self.weights / 1e9:.3g}"),
            "needed_gb": float(f"{self.needed / 1e9:.3g}"),
            "fits": self.fits,
        }


def demand_fit(plan: Plan, out: Path | str | None = None) -> str | None:
    """UserError for a run that cannot fit; a sentence where it may not, None where it does."""
    return demand_all_fit([(plan, out)])


def demand_all_fit(asked: Iterable[Asked]) -> str | None:
    """``demand_fit`` of several runs together: what they share is needed once."""
    claims = Claims()
    found = [forecast(plan, out, claims) for plan, out in asked]
    if refused := _refusals(found):
        raise UserError(refused[0])
    return next((_tight(memory) for memory in memories(found) if memory.is_tight), None)


def said_of(found: Sequence[Forecast]) -> list[str]:
    """A sentence for everything that cannot fit or may not."""
    tight = [memory for memory in memories(found) if memory.fits and memory.is_tight]
    return [*_refusals(found), *map(_tight, tight)]


def _refusals(found: Sequence[Forecast]) -> list[str]:
    small = [_too_small(disk) for disk in disks(found) if not disk.fits]
    return small + [_too_large(memory) for memory in memories(found) if not memory.fits]


def disks(found: Sequence[Forecast]) -> list[Disk]:
    """Every file system that something is written to. Runs at addresses lie elsewhere.

    Encoded examples are left out: they are only kept where there is room.
    """
    needed: dict[Path, float] = defaultdict(float)
    for one in found:
        disk = one.estimate.disk
        needed[cache()] += disk.get("pairs", 0.0)
        if (run := _run_folder(one)) is not None:
            needed[run] += disk.get("answers", 0.0) + disk.get("checkpoints", 0.0)
    systems: dict[int, list[Path]] = defaultdict(list)
    for folder in needed:
        systems[_existing(folder).stat().st_dev].append(folder)
    return [
        Disk(
            tuple(folders),
            sum(needed[folder] for folder in folders),
            shutil.disk_usage(_existing(folders[0])).free,
        )
        for folders in systems.values()
    ]


def memories(found: Sequence[Forecast]) -> list[Memory]:
    """What each run that draws anything needs of its device, each backbone's largest once."""
    largest: dict[str, Memory] = {}
    for one in found:
        told, name = one.estimate, one.plan.backbone
        if name == NO_BACKBONE or not one.images or told.weights is None or told.memory is None:
            continue
        own = Memory(one.device, told.weights, told.memory)
        if name not in largest or own.needed > largest[name].needed:
            largest[name] = own
    return list(largest.values())


def _run_folder(one: Forecast) -> Path | None:
    """None for an address."""
    if one.out is None:
        return one.done.folder or Path("runs") / one.plan.suite.key
    return None if "://" in str(one.out) else Path(one.out)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return next(place for place in (folder, *folder.parents) if place.exists())


def _too_small(disk: Disk) -> str:
    where = " and ".join(str(folder) for folder in disk.folders)
    return (
        f"What is left to do needs about {_gb(disk.needed)} on the disk of {where}, and "
        f"{_gb(disk.free)} are free: free some space, or choose other folders with --out and "
        f"${CACHE}."
    )


def _too_large(memory: Memory) -> str:
    return (
        f"The backbone's weights alone take about {_gb(memory.weights)}, and {memory.device.name} "
        f"has {_gb(memory.device.memory)} of memory: choose a smaller --backbone, or run it on a "
        "larger device."
    )


def _tight(memory: Memory) -> str:
    return (
        f"This may not fit: it needs about {_gb(memory.needed)} of memory at once, and "
        f"{memory.device.name} has {_gb(memory.device.memory)}; smaller batches need less."
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"
