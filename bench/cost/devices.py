"""What work is done on: the accelerator that is here, or the processor."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.errors import unknown

PEAKS = {
    r"B200": 2250,
    r"H200": 989,
    r"H100 PCIe": 756,
    r"H100": 989,
    r"A100": 312,
    r"L40S": 362,
    r"L40": 181,
    r"L4\b": 121,
    r"RTX 6000 Ada": 364,
    r"RTX A6000": 155,
    r"A10\b": 125,
    r"RTX 5090": 210,
    r"RTX 4090": 165,
    r"RTX 3090": 71,
}
"""Dense bf16 TFLOP/s by the name of a device, as its maker states them."""
MEMORIES = {
    r"B200": 180,
    r"H200": 141,
    r"H100": 80,
    r"A100": 80,
    r"L40": 48,
    r"L4\b": 24,
    r"RTX (6000 Ada|A6000)": 48,
    r"RTX 5090": 32,
    r"A10\b|RTX [34]090": 24,
}
"""GB, where a name does not say."""


@dataclass(frozen=True)
class Device:
    """A name and a memory in bytes; ``accelerator`` is False for the machine's own processor."""

    name: str
    memory: float
    accelerator: bool = True

    @property
    def peak(self) -> float | None:
        """Dense bf16 FLOP/s; None for a device that is not known."""
        found = (peak for name, peak in PEAKS.items() if re.search(name, self.name))
        tera = next(found, None)
        return tera * 1e12 if tera else None


def device_named(name: str) -> Device:
    """A device that is elsewhere, such as "H100" or "A100 40GB".

    UserError for a name that is not known.
    """
    told = re.search(r"(\d+) ?GB", name)
    known = (memory for pattern, memory in MEMORIES.items() if re.search(pattern, name))
    memory = int(told[1]) if told else next(known, None)
    device = Device(name, (memory or 0) * 1e9)
    if memory is None or device.peak is None:
        raise unknown("device", name, [pattern.removesuffix(r"\b") for pattern in PEAKS])
    return device


def device_at_hand() -> Device | None:
    """The first accelerator that nvidia-smi names; None where there is none."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        name, memory = told.stdout.splitlines()[0].rsplit(",", 1)
        return Device(name.strip(), float(memory) * 2**20)
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def processor() -> Device:
    """The machine's own, with the threads that work may take: their number decides its speed."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    count = int(threads) if threads.isdigit() else len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    plural = "s" if count != 1 else ""
    return Device(f"{_model()}, {count} thread{plural}", memory, accelerator=False)


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine() or "CPU")
