"""Processes that share one training, as ``accelerate launch`` starts them; usually there is one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(days=2)
"""How long one waits for the others: drawing what is trained on may be the work of one alone."""


@dataclass(frozen=True)
class Processes:
    """This process, ``rank``, among ``count``. All of them must come to every call that waits."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """The one that writes."""
        return self.rank == 0

    def share(self, work: Sequence[Any]) -> Sequence[Any]:
        """What of some work is this process's own."""
        return work[self.rank :: self.count]

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, with the same bits in each; waits."""
        if self.count > 1:
            import torch.distributed

            torch.distributed.all_reduce(tensor)
        return tensor

    def gather(self, thing: Any) -> list[Any]:
        """Everybody's, by rank; waits."""
        if self.count == 1:
            return [thing]
        from accelerate.utils import gather_object

        gathered: list[Any] = gather_object([thing])
        return gathered

    def wait(self) -> None:
        """Until the others come here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    @contextmanager
    def led(self, context: AbstractContextManager[None]) -> Iterator[None]:
        """The first has entered it before anybody begins, and leaves when all have ended."""
        with context if self.first else nullcontext():
            self.wait()
            yield
            self.wait()

    def once(self, work: Callable[[], object]) -> None:
        """The first does it and the others wait until it is done."""
        if self.first:
            work()
        self.wait()


def launched() -> int:
    """How many of them ``accelerate launch`` started; 1 where nobody did."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@cache
def processes() -> Processes:
    """Those that this process was started among; gives it an accelerator of its own.

    To be called before anything is put on one.
    """
    if launched() == 1:
        return Processes()
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=bool(on_cpu), timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes)
