"""Workers on a Ray cluster: Ray places them, each on an accelerator of its own, and says of their
loss; a piece that was lost is given to another one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from socket import create_connection
from typing import Any

from bench.errors import UserError
from bench.executors import Pool, Told
from bench.executors.beats import Beat
from bench.executors.crew import do_with
from bench.executors.local import PATIENCE
from bench.pieces import Job, Outcome, Piece

EVERY = 1.0
"""Seconds between two looks at the board."""
ANSWER = 10.0
"""Seconds that a cluster has to answer at all."""
ROOM = 30.0
"""Seconds after which a worker that has not begun is taken to wait for another one's room."""


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster at ``address``, the one that this runs in, or else one of this machine.

    ``workers``: pieces done at once, None for as many as there is room for; ``per_worker``: GPUs of
    each, None for one where the cluster has any. UserError where there is no such cluster.
    """

    address: str | None = None
    workers: int | None = None
    per_worker: float | None = None
    patience: float = PATIENCE

    @contextmanager
    def open(self, jobs: Sequence[Job]) -> Iterator[Pool]:
        ray = _ray()
        _connect(ray, self.address)
        try:
            yield self._crew(ray, jobs)
        finally:
            ray.shutdown()

    def _crew(self, ray: Any, jobs: Sequence[Job]) -> RayCrew:
        there = ray.cluster_resources()
        some = 1.0 if there.get("GPU") else 0.0
        gpus = some if self.per_worker is None else self.per_worker
        room = int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 1))
        if room < 1:
            raise UserError(
                f"The cluster has {there.get('GPU', 0):g} GPUs and a worker wants {gpus:g}: give "
                "less with --gpus-per-worker, or join nodes that have them."
            )
        board = ray.remote(num_cpus=0, max_restarts=-1)(Board).remote()
        hire = partial(
            ray.remote(num_cpus=1, num_gpus=gpus)(RayWorker).remote, ray.put(tuple(jobs)), board
        )
        return RayCrew(jobs, ray, hire, board, self.workers or room, self.patience)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "The executor 'ray' needs Ray, which is not installed: pip install 'subjectbench[ray]'."
        ) from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    """Join a cluster; without an address, the one around this process, or a new one."""
    quiet = {"logging_level": "ERROR", "log_to_driver": False, "include_dashboard": False}
    try:
        _demand_answer(ray, address)
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = f" at {address}" if address else ""
        raise UserError(
            f"There is no Ray cluster{where} ({' '.join(str(error).split())[:150]}): start "
            "one with 'ray start --head', or give its --address; set RAY_AUTH_MODE=token where "
            "it asks for a token."
        ) from error


def _demand_answer(ray: Any, address: str | None) -> None:
    """OSError where there should be a cluster and nothing answers: Ray tries for a quarter hour."""
    if not (address or "").startswith("ray://"):
        where = ray._private.services.canonicalize_bootstrap_address(address)
        if where is not None:
            host, _, port = where.rpartition(":")
            create_connection((host.strip("[]"), int(port)), ANSWER).close()


class Board:
    """What workers told last, somewhere on the cluster."""

    def __init__(self) -> None:
        self.beats: dict[str, Beat] = {}

    def tell(self, key: str, beat: Beat | None) -> None:
        """None for a piece that is to be begun, or has ended."""
        if beat is None:
            self.beats.pop(key, None)
        else:
            self.beats[key] = beat

    def read(self) -> dict[str, Beat]:
        return self.beats


class RayWorker:
    """A worker in a process of its own, which stays as long as the run."""

    def __init__(self, jobs: tuple[Job, ...], board: Any) -> None:
        from bench.worker import Worker

        self.worker, self.board = Worker(jobs), board
        self._last = 0.0

    def do(self, piece: Piece) -> Outcome:
        self.board.tell.remote(piece.key, ("", 0, 0))
        return self.worker.do(piece, partial(self._tell, piece))

    def _tell(self, piece: Piece, title: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self.board.tell.remote(piece.key, (title, done, total))


@dataclass
class RayCrew:
    """Workers that Ray places; new ones are hired as need be."""

    jobs: Sequence[Job]
    ray: Any
    hire: Any
    board: Any
    workers: int
    patience: float
    _idle: list[Any] = field(default_factory=list, init=False)
    _busy: dict[str, Any] = field(default_factory=dict, init=False)
    _given: dict[str, float] = field(default_factory=dict, init=False)
    _beats: dict[str, Beat] = field(default_factory=dict, init=False)
    _read: float = field(default=0.0, init=False)

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        return do_with(self, self.jobs, pieces, told)

    def start(self, piece: Piece) -> Future[Outcome]:
        self.board.tell.remote(piece.key, None)
        self._beats.pop(piece.key, None)
        worker = self._idle.pop() if self._idle else self.hire()
        self._busy[piece.key] = worker
        self._given[piece.key] = time.monotonic()
        future: Future[Outcome] = worker.do.remote(piece).future()
        return future

    def ended(self, piece: Piece, lost: bool) -> None:
        worker = self._busy.pop(piece.key)
        del self._given[piece.key]
        self.board.tell.remote(piece.key, None)
        if not lost:
            self._idle.append(worker)

    def stop(self, piece: Piece, future: Future[Outcome]) -> None:
        self.ray.kill(self._busy[piece.key])

    def lost(self, error: BaseException) -> str | None:
        """The death of a worker or of its node; an error that the worker tells is none."""
        exceptions = self.ray.exceptions
        gone = (
            exceptions.RayActorError,
            exceptions.NodeDiedError,
            exceptions.ObjectLostError,
            exceptions.WorkerCrashedError,
        )
        return type(error).__name__ if isinstance(error, gone) else None

    def beat(self, piece: Piece) -> Beat | None:
        if time.monotonic() - self._read > EVERY:
            self._read = time.monotonic()
            self._beats = self._on_board()
        return self._beats.get(piece.key)

    def nothing_waits(self) -> None:
        """An idle worker leaves where another one has had no room to begin for long."""
        late = time.monotonic() - ROOM
        stuck = [key for key, since in self._given.items() if since < late]
        if self._idle and any(key not in self._beats for key in stuck):
            self.ray.kill(self._idle.pop())
            self._given |= dict.fromkeys(stuck, time.monotonic())

    def _on_board(self) -> dict[str, Beat]:
        """Nothing where the board is lost for now, which no piece is to pay for."""
        try:
            beats: dict[str, Beat] = self.ray.get(self.board.read.remote(), timeout=10)
        except self.ray.exceptions.RayError:
            return {}
        return beats
