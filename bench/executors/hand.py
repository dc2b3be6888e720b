"""A process of this machine that does one piece after another for the one that started it.

The two share a pipe and nothing else: whatever ends a process at whatever moment, in the middle of
its beginning or of an answer, no lock is left behind that another one would wait for.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from traceback import format_exception

from bench.pieces import Outcome, Piece

Prepare = Callable[[], Callable[[Piece], Outcome]]
"""What a process does first; it comes to what does the pieces."""


class Lost(Exception):
    """The process ended with a piece under way."""

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(_told(exitcode))


class Hand:
    """A worker's process; it ends with the one that started it."""

    def __init__(self, prepare: Prepare) -> None:
        spawn = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # as its start would let the process hear of Ctrl-C
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, prepare))
        try:
            with _unheard(), theirs:
                self._process.start()
        except OSError:
            self._pipe.close()  # killed while it was told what to do
        except KeyboardInterrupt:
            self.end()
            raise

    @property
    def pid(self) -> int | None:
        """Its number; None for one that was killed before it began."""
        return self._process.pid

    def do(self, piece: Piece) -> Outcome:
        """Wait for a piece to be done. Lost when the process ends first; else what it raised."""
        try:
            self._pipe.send(piece)
            came_to, raised = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise Lost(self._ended()) from error
        if raised is not None:
            raise raised
        outcome: Outcome = came_to
        return outcome

    def end(self) -> None:
        """Kill it, whatever it does."""
        if self.pid is not None:
            self._process.kill()

    def _ended(self) -> int | None:
        """Its exit code; None for one that was killed before it began."""
        self.end()
        if self.pid is not None:
            self._process.join()
        return self._process.exitcode


@contextmanager
def _unheard() -> Iterator[None]:
    """What is started meanwhile never hears of Ctrl-C: who started it decides what becomes of it.

    A handler would come too late, as the process first imports what it is in.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, prepare: Prepare) -> None:
    """Until whoever started this is gone."""
    do = prepare()
    while True:
        try:
            piece = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(_packed(do, piece))


def _packed(do: Callable[[Piece], Outcome], piece: Piece) -> memoryview:
    """What a piece comes to and what it raises; an error that cannot be sent is told in words."""
    try:
        return ForkingPickler.dumps((do(piece), None))
    except Exception as error:
        trace = "".join(format_exception(error))
        error.add_note(f"In a worker, process {os.getpid()}:\n{trace}")
        return _error_packed(error, trace)


def _error_packed(error: Exception, trace: str) -> memoryview:
    try:
        packed = ForkingPickler.dumps((None, error))
        ForkingPickler.loads(packed)
        return packed
    except Exception:
        return ForkingPickler.dumps((None, RuntimeError(trace)))


def _told(exitcode: int | None) -> str:
    if exitcode is None:
        return "ended before it began"
    return f"ended by {signal.Signals(-exitcode).name}" if exitcode < 0 else f"left with {exitcode}"
