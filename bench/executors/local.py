"""Workers on this machine: this process itself, or several of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from bench.executors.hand import Hand, Lost
from bench.pieces import Job, Outcome, Piece

if TYPE_CHECKING:
    from bench.worker import Worker

PATIENCE = 1800.0
"""Seconds without a word after which a worker is taken for hung."""
AT_WORK: Beat = ("", 0, 0)
"""What a worker tells before it knows anything else."""


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
        self._demand_room()
        with (
            TemporaryDirectory(prefix="bench-beats-") as beats,
            ThreadPoolExecutor(self.workers) as threads,
        ):
            prepare = partial(_prepare, jobs, Path(beats), self.per_worker, os.getpid())
            hire = partial(Hand, prepare)
            crew = ProcessCrew(jobs, hire, threads, Beats(Path(beats)), self.workers, self.patience)
            try:
                yield crew
            finally:
                crew.dismiss()

    def _demand_room(self) -> None:
        room = places(devices(), self.per_worker)
        if room and len(room) < self.workers:
            raise UserError(
                f"{self.workers} workers want {self.per_worker:g} of an accelerator each, and "
                f"{len(room)} have room: give fewer --workers, or less with --gpus-per-worker."
            )


@dataclass
class ProcessCrew:
    """Workers in processes; a new one is started where one was lost."""

    jobs: Sequence[Job]
    hire: Callable[[], Hand]
    threads: ThreadPoolExecutor
    beats: Beats
    workers: int
    patience: float
    _idle: list[Hand] = field(default_factory=list, init=False)
    _busy: dict[str, Hand] = field(default_factory=dict, init=False)

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        return do_with(self, self.jobs, pieces, told)

    def start(self, piece: Piece) -> Future[Outcome]:
        self.beats.forget(piece)
        hand = self._idle.pop() if self._idle else self.hire()
        self._busy[piece.key] = hand
        return self.threads.submit(hand.do, piece)

    def ended(self, piece: Piece, lost: bool) -> None:
        hand = self._busy.pop(piece.key)
        if not lost:
            self._idle.append(hand)

    def nothing_waits(self) -> None:
        """Idle workers hinder nobody."""

    def stop(self, piece: Piece, future: Future[Outcome]) -> None:
        self._busy[piece.key].end()

    def lost(self, error: BaseException) -> str | None:
        return str(error) if isinstance(error, Lost) else None

    def beat(self, piece: Piece) -> Beat:
        """Processes wait for nobody: one that never tells a word hangs, too."""
        return self.beats.read(piece) or AT_WORK

    def dismiss(self) -> None:
        """No process is left, whatever it did."""
        for hand in (*self._idle, *self._busy.values()):
            hand.end()


def _prepare(
    jobs: Sequence[Job], folder: Path, per_worker: float, parent: int
) -> Callable[[Piece], Outcome]:
    """What a new worker does first: it takes an accelerator before anything can use one."""
    take_device(folder, per_worker)
    from bench.worker import Worker, end_with

    Thread(target=end_with, args=(parent,), daemon=True).start()
    return partial(_do, Worker(jobs), Beats(folder))


def _do(worker: Worker, beats: Beats, piece: Piece) -> Outcome:
    tell = partial(beats.tell, piece)
    tell(*AT_WORK)
    return worker.do(piece, tell)
