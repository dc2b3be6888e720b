"""What people see: a progress bar with an estimate on a terminal, silence elsewhere."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench import api

stdout = Console()
stderr = Console(stderr=True)


@contextmanager
def progress_bars(kept: Collection[str] | None = None) -> Iterator[api.Progress]:
    """A bar per title, on standard error; finished ones go unless ``kept`` (None: all are)."""
    if not stderr.is_terminal:
        yield api.silent
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=stderr) as bars:

        def show(title: str, done: int, total: int) -> None:
            if title not in tasks:
                tasks[title] = bars.add_task(title, total=None)
            bars.update(tasks[title], completed=done, total=total or None)
            if kept is not None and done >= total > 0 and title not in kept:
                bars.remove_task(tasks.pop(title))

        yield show
