"""Where a run lies: a folder of this machine, or a folder of an object store that has one here.

Work is always done in ``folder``. That of a store holds a part of what the store holds: ``fetch``
brings more of it, ``publish`` gives files to the store.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar
from uuid import uuid4

from bench.identity import identity
from bench.made import MANIFEST
from bench.paths import cache
from bench.places.addresses import STREAMS, parse
from bench.places.leases import Lease
from bench.places.objects import Objects, Stat
from bench.store import exclusive, in_turn, write_atomically

LOCAL = re.compile("(file|local)://")
FLATTENED = re.compile("([a-z][a-z0-9+.-]+):/(?=[^/])")
"""What a path makes of the beginning of an address."""

NOTE = ".json"
"""How names of notes end that say what is being published."""

Item = TypeVar("Item")
Mark = tuple[int, int, int, int]


class Place(Protocol):
    """Where a run lies."""

    @property
    def url(self) -> str:
        """As the user gave it; it holds no secret."""

    @property
    def folder(self) -> Path:
        """Where on this machine the work is done."""

    @property
    def whole(self) -> bool:
        """Whether all that there is of the run lies in ``folder``."""

    def fetch(self, *names: str) -> None:
        """Make files of ``folder`` those of the store: one file, or all below ``"name/"``.

        What is here already stays; what the store does not have is no error.
        """

    def publish(self, *paths: Path) -> None:
        """Give files of ``folder`` to the store, each whole or not at all, in this order.

        Neighbours with one suffix go together; what follows goes only when all of them are there.
        """

    def discard(self, name: str) -> None:
        """Have the store forget all below ``"name/"``; what is here stays."""

    def exclusive(self) -> AbstractContextManager[None]:
        """No two processes drive one place. UserError when another one does."""


def place_of(out: str | Path) -> Place:
    """The place of an address or a path. UserError for addresses that nothing here can use."""
    text = FLATTENED.sub(r"\1://", str(out), count=1) if isinstance(out, Path) else out
    if "://" not in text or LOCAL.match(text):
        return Disk(Path(LOCAL.sub("", text)))
    return _bucket(text, cache(), parse(text).endpoint, os.getpid())


@functools.cache
def _bucket(url: str, kept: Path, endpoint: str, process: int) -> Bucket:
    """One connection for all that a process does in a place, and one lease."""
    return Bucket(url)


class Disk:
    """A folder of this machine, or of a disk that machines share."""

    whole = True

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self.folder = folder

    def fetch(self, *names: str) -> None:
        """Everything is here."""

    def publish(self, *paths: Path) -> None:
        """Everything is here."""

    def discard(self, name: str) -> None:
        """Nothing is elsewhere."""

    def exclusive(self) -> AbstractContextManager[None]:
        return exclusive(self.folder)


class Bucket:
    """A folder of an object store; others may read it, and give files to it, at the same time."""

    whole = False

    def __init__(self, url: str) -> None:
        self._objects = Objects(url)
        self.url = self._objects.url
        self.folder = cache() / "places" / self._objects.identity[:16]
        self._aside = self.folder.with_name(f"{self.folder.name}.aside")
        self._lease: Lease | None = None
        self._began = 0.0
        self._known: dict[str, Mark] = {}

    def fetch(self, *names: str) -> None:
        wanted: dict[str, Stat | None] = {}
        for name in names:
            if name == MANIFEST:
                self._renew()
            elif not name.endswith("/"):
                wanted.setdefault(name, None)
            else:
                listed = self._objects.list(name)
                wanted |= listed
                self._drop(path for path in self._below(name) if self._name(path) not in listed)
        _each(lambda item: self._bring(*item), wanted.items())

    def publish(self, *paths: Path) -> None:
        """See ``Place``. What came from the store, or went there, and is as it was, is not sent."""
        if self._lease:
            self._lease.demand()
        names = [self._name(path) for path in paths]
        changed = [name for name in names if self._known.get(name) != _mark(self.folder / name)]
        if not changed:
            return
        note = self._aside / f"{uuid4().hex}{NOTE}"
        write_atomically(note, json.dumps(changed))
        self._send(changed)
        note.unlink()

    def discard(self, name: str) -> None:
        listed = self._objects.list(name)
        _each(self._objects.remove, listed)
        for each in listed:
            self._known.pop(each, None)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with Lease(self._objects).held() as lease:
            self._renew()
            self._began = self._now()
            self._send_rest()
            self._lease = lease
            try:
                yield
            finally:
                self._lease, self._began = None, 0.0

    def _send(self, names: Iterable[str]) -> None:
        for _, alike in groupby(names, key=lambda name: Path(name).suffix):
            _each(self._send_one, alike)

    def _send_one(self, name: str) -> None:
        mark = _mark(self.folder / name)
        self._objects.put(self.folder / name, name)
        self._known[name] = mark

    def _send_rest(self) -> None:
        """What an earlier driver made and could not publish; what others did since stays."""
        for note in sorted(self._aside.glob(f"*{NOTE}"), key=lambda note: note.stat().st_mtime_ns):
            names = json.loads(note.read_text(encoding="utf-8"))
            here = [name for name in names if (self.folder / name).is_file()]
            self._send([name for name in here if self._objects.stat(name) is None])
            note.unlink()

    def _renew(self) -> None:
        """Empty the folder where it holds another run than the store does now."""
        own = self.folder / MANIFEST
        with in_turn(self._aside):
            stated = self._objects.read(MANIFEST)
            if not own.is_file() or own.read_bytes() != stated:
                shutil.rmtree(self.folder, ignore_errors=True)
                for note in self._aside.glob(f"*{NOTE}"):
                    note.unlink()
                if stated is None:
                    return
                write_atomically(own, stated)
            self._known[MANIFEST] = _mark(own)

    def _bring(self, name: str, stat: Stat | None) -> None:
        path = self.folder / name
        if path.is_file():
            stat = stat or self._objects.stat(name)
            if stat is None:
                return self._drop([path])
            if stat.is_of(path):
                self._known[name] = _mark(path)
                return None
        self._aside.mkdir(parents=True, exist_ok=True)
        part = self._aside / f"{identity(name)[:16]}.{os.getpid()}.part"
        try:
            if self._objects.get(name, part, stat.size if stat else 0):
                path.parent.mkdir(parents=True, exist_ok=True)
                part.replace(path)
                self._known[name] = _mark(path)
        finally:
            part.unlink(missing_ok=True)

    def _drop(self, paths: Iterable[Path]) -> None:
        """Remove what was left here before this driver began, and is not on the store.

        What came here since is of its own work, and on its way there.
        """
        for path in paths:
            if path.stat().st_ctime < self._began:
                path.unlink()

    def _below(self, name: str) -> Iterator[Path]:
        return (path for path in (self.folder / name).rglob("*") if path.is_file())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _now(self) -> float:
        """The time by the clock that dates the files of this folder."""
        write_atomically(self._aside / "began", "")
        return (self._aside / "began").stat().st_ctime


def _mark(path: Path) -> Mark:
    """Another one after every change, also to the same size and at the same time."""
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


def _each(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do work for all items, some at a time; after a first failure nothing new is begun."""
    failed = Event()

    def unless_failed(item: Item) -> None:
        if not failed.is_set():
            try:
                work(item)
            except BaseException:
                failed.set()
                raise

    with ThreadPoolExecutor(STREAMS) as pool:
        waiting = [pool.submit(unless_failed, item) for item in items]
        try:
            for done in as_completed(waiting):
                done.result()
        except BaseException:
            failed.set()
            raise
