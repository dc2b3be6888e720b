"""Workers on this machine: this process itself, or several of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.executors import Pool, Told
from bench.executors.beats import Beat, Beats
from bench.executors.crew import do_with
from bench.executors.devices import devices, places, take_device
from bench.pieces import Job, Outcome, Piece

if TYPE_CHECKING:
    from pebble import ProcessPool

    from bench.worker import Worker

PATIENCE = 1800.0
"""Seconds without a word after which a worker is taken for hung."""


@dataclass(frozen=True)
class Here:
    """One worker, in this process."""

    @contextmanager
    def open(self, jobs: Sequence[Job]) -> Iterator[Pool]:
        from bench.worker import Worker

        yield Alone(Worker(jobs))


@dataclass(frozen=True)
class Alone:
    """The worker of this process."""

    worker: Worker
    workers: int = 1

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        for piece in pieces:
            try:
                yield piece, self.worker.do(piece, partial(told, piece))
            except UserError as error:
                yield piece, error


@dataclass(frozen=True)
class Processes:
    """Processes of this machine, each with an accelerator, or its share of one, where there are.

    ``per_worker``: how much of an accelerator each has to itself.
    """

    workers: int
    per_worker: float = 1.0
    patience: float = PATIENCE

    @contextmanager
    def open(self, jobs: Sequence[Job]) -> Iterator[Pool]:
        from pebble import ProcessPool

        self._demand_room()
        with TemporaryDirectory(prefix="bench-beats-") as beats:
            folder = Path(beats)
            pool = ProcessPool(
                max_workers=self.workers,
                initializer=_begin,
                initargs=(jobs, folder, self.per_worker, os.getpid()),
                context=multiprocessing.get_context("spawn"),
            )
            try:
                yield ProcessCrew(jobs, pool, Beats(folder), self.workers, self.patience)
            finally:
                pool.stop()
                pool.join()

    def _demand_room(self) -> None:
        room = places(devices(), self.per_worker)
        if room and len(room) < self.workers:
            raise UserError(
                f"{self.workers} workers want {self.per_worker:g} of an accelerator each, and "
                f"{len(room)} have room: give fewer --workers, or less with --gpus-per-worker."
            )


@dataclass(frozen=True)
class ProcessCrew:
    """Workers in a pool that replaces those that die."""

    jobs: Sequence[Job]
    pool: ProcessPool
    beats: Beats
    workers: int
    patience: float

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        return do_with(self, self.jobs, pieces, told)

    def start(self, piece: Piece) -> Future[Outcome]:
        self.beats.forget(piece)
        future: Future[Outcome] = self.pool.schedule(_do, args=[piece])
        return future

    def ended(self, piece: Piece, lost: bool) -> None:
        """The pool replaces workers by itself."""

    def nothing_waits(self) -> None:
        """Idle workers hinder nobody."""

    def stop(self, piece: Piece, future: Future[Outcome]) -> None:
        future.cancel()

    def lost(self, error: BaseException) -> str | None:
        from pebble import ProcessExpired

        if not isinstance(error, ProcessExpired):
            return None
        code = error.exitcode or 0
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"left with {code}"

    def beat(self, piece: Piece) -> Beat | None:
        return self.beats.read(piece)


_worker: Worker
_beats: Beats


def _begin(jobs: Sequence[Job], beats: Path, per_worker: float, parent: int) -> None:
    """What a new worker does first: it takes an accelerator before anything can use one."""
    global _worker, _beats
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it decides what becomes of it
    take_device(beats, per_worker)
    from bench.worker import Worker, end_with

    Thread(target=end_with, args=(parent,), daemon=True).start()
    _worker, _beats = Worker(jobs), Beats(beats)


def _do(piece: Piece) -> Outcome:
    tell = partial(_beats.tell, piece)
    tell("", 0, 0)
    return _worker.do(piece, tell)
