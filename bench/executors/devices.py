"""Which accelerator a worker of this machine has: one that no living worker holds."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[IO[str]] = []


def devices() -> list[str]:
    """Names of the accelerators that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    if (told := os.environ.get(VISIBLE)) is not None:
        return [name for name in told.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def places(names: list[str], per_worker: float) -> list[str]:
    """Every accelerator as often as workers have room on it; none where they want none."""
    if not per_worker:
        return []
    return [name for name in names for _ in range(max(1, int(1 / per_worker)))]


def take_device(folder: Path, per_worker: float) -> str | None:
    """Let this process see one accelerator alone until it ends; None where there is none.

    Locks go with the process, however it dies, so that the worker after it finds its place free.
    RuntimeError where there are more workers than places.
    """
    room = places(devices(), per_worker)
    for number, name in enumerate(room):
        lock = (folder / f"device-{number}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _held.append(lock)
        os.environ[VISIBLE] = name
        return name
    if room:
        raise RuntimeError(f"there are {len(room)} places on accelerators and more workers")
    return None
