"""One driver per place: an object that says who works there, and that he is still alive.

Whether a lock is stale is told by the store's clock alone: machines' own clocks may differ.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from bench.errors import UserError
from bench.places.objects import Objects, Stat

LOCK = ".lock"
STALE = 15 * 60.0
"""Seconds of silence after which a driver counts as gone."""
BEAT = 60.0
"""Seconds between two signs of life."""
TRIES = 3
"""For locks that are given back just when they are looked at."""
SETTLE = 2.0
"""Seconds after which of several writers the last has written, on stores without conditions."""


class Lease:
    """The right to be the one driver of a place, while ``held``."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._mine = {"host": _host(), "pid": os.getpid(), "token": uuid4().hex}
        self._lost = False

    @contextmanager
    def held(self) -> Iterator[Lease]:
        """UserError where another driver works in the place."""
        self._take()
        over = Event()
        Thread(target=self._beat, args=(over,), daemon=True).start()
        try:
            yield self
        finally:
            over.set()
            # What ends the work is to be told, not that the lock could not be removed after it.
            with suppress(UserError):
                if self._is_mine():
                    self._objects.remove(LOCK)

    def demand(self) -> None:
        """UserError when another driver has taken over, which took this one for dead."""
        if self._lost:
            raise UserError(
                f"Another process has taken over {self._objects.url}, as nothing was heard of this "
                f"one for {STALE / 60:.0f} minutes; let that one finish."
            )

    def _take(self) -> None:
        """Write the lock and read it: what stands there then tells whose it is."""
        holder: dict[str, Any] = {}
        for _ in range(TRIES):
            found = self._objects.stat(LOCK)
            if found is None:
                sure = self._objects.create(LOCK, self._spelled)
            else:
                sure = self._objects.replace(LOCK, self._spelled, self._demand_dead(found))
            if not sure:
                time.sleep(SETTLE)
            holder = self._holder()
            if holder.get("token") == self._mine["token"]:
                return
            if holder:
                break
        raise self._refusal(holder)

    def _demand_dead(self, found: Stat) -> Stat:
        """UserError when the one whose lock was found is alive, as far as can be known."""
        holder = self._holder()
        near = holder.get("host") == _host()
        if (near and not _is_alive(holder.get("pid"))) or self._silence() > STALE:
            return found
        raise self._refusal(holder)

    def _silence(self) -> float:
        """Seconds since the holder's last sign of life."""
        now = f"{LOCK}.{self._mine['token']}"
        self._objects.write(now, b"")
        try:
            return self._objects.age(LOCK, beside=now)
        finally:
            self._objects.remove(now)

    def _refusal(self, holder: dict[str, Any]) -> UserError:
        name = str(holder.get("host", "")).partition(" ")[0] or "another machine"
        return UserError(
            f"Another process works in {self._objects.url} (process {holder.get('pid', '?')} on "
            f"{name}); wait for it, or choose another folder: one that was killed is given up "
            f"after {STALE / 60:.0f} minutes."
        )

    def _beat(self, over: Event) -> None:
        while not over.wait(BEAT):
            # A store that does not answer now may do so at the next sign of life.
            with suppress(UserError):
                found = self._objects.stat(LOCK)
                self._lost = not self._is_mine()
                if self._lost:
                    return
                self._objects.write(LOCK, self._spelled, over=found)

    def _is_mine(self) -> bool:
        return self._holder().get("token") == self._mine["token"]

    def _holder(self) -> dict[str, Any]:
        """What stands in the lock; nothing where there is none, or something else."""
        try:
            holder = json.loads(self._objects.read(LOCK) or b"{}")
        except ValueError:
            return {}
        return holder if isinstance(holder, dict) else {}

    @property
    def _spelled(self) -> bytes:
        return json.dumps(self._mine, sort_keys=True).encode()


def _host() -> str:
    """This machine as it runs now: numbers of processes mean something to it alone.

    Containers may share a name, and then have spaces of process numbers of their own.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _is_alive(pid: object) -> bool:
    """A process that may not be asked lives."""
    if not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
