"""Small runs as processes of their own, which are watched from outside and ended in bad ways."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.commands import environment, sentence_of

SMALL = ("--suite", "mini", "--limit-subjects", "3", "--set", "steps=2")
QUICK = ("--set", "iterations=3", "--set", "class_images=2", "--set", "rank=1")
RUN = ("run", "--method", "dreambooth", *SMALL, *QUICK)
TWO = ("--workers", "2")
IMAGES = 18
TIMEOUT = 240.0
HEARS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""Ctrl-C also reaches what was started by a shell in its background."""
BENCH = f"{HEARS}; from bench.cli import main; main()"
NOT_OF_THE_SPECIFICATION = ("log.jsonl", "state.pt")
"""Names of files that tell how a run went; everything else follows from what was asked."""


@dataclass(frozen=True)
class Life:
    """One run's command, folder and home; all its processes are known by their home."""

    folder: Path
    arguments: tuple[str, ...] = RUN
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "run"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def begin(self, *more: str) -> subprocess.Popen[str]:
        """The command in a session of its own, as a terminal has one."""
        command = [sys.executable, "-c", BENCH, *self.arguments, "--out", str(self.out), *more]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**environment(self.home), **self.variables},
            cwd=self.folder,
        )

    def end(
        self, process: subprocess.Popen[str], timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """What it said, once it ended by itself; nothing of it lives on where it does not."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.wipe_out()
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def finish(self, *more: str) -> None:
        """The same command once more, to its end."""
        done = self.end(self.begin(*more))
        assert done.returncode == 0, done.stderr

    def refusal(self, *more: str) -> str:
        """The one sentence of a command that must not succeed."""
        return sentence_of(self.end(self.begin(*more)))

    def processes(self) -> list[int]:
        """All that live in this run's home."""
        return list(_processes_with(f"SUBJECTBENCH_HOME={self.home}"))

    def workers(self) -> list[int]:
        return [process for process in self.processes() if "spawn_main" in _command(process)]

    def wipe_out(self) -> None:
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def is_gone(self, within: float) -> bool:
        """Whether no process of it is left after so many seconds."""
        return soon(lambda: not self.processes(), within)

    @property
    def stage(self) -> str:
        """How far the run has come, as its folder tells."""
        out = self.out
        if (out / "row.json").exists():
            return "over"
        if (out / "rows.parquet").exists():
            return "publishing"
        if not (out / "manifest.json").exists():
            return "imports"
        if count(out, "images/*/*.png") == IMAGES:
            return "scoring"
        trained = count(out, "checkpoints/*/*.safetensors")
        drawn = {image.parent for image in out.glob("images/*/05-0.png")}
        return "drawing" if trained > len(drawn) else "training"

    def contents(self) -> dict[str, bytes]:
        """Every file that there is in the folder, as far as it follows from the specification."""
        files = {file.relative_to(self.out).as_posix(): file for file in _files(self.out)}
        return {name: _told(file) for name, file in sorted(files.items())}


def until(reached: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until a run has come so far; it must not end before."""
    limit = time.monotonic() + TIMEOUT
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "the run never came that far"
        time.sleep(0.005)


def soon(reached: Callable[[], bool], within: float) -> bool:
    limit = time.monotonic() + within
    while not (there := reached()) and time.monotonic() < limit:
        time.sleep(0.05)
    return there


def count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """A process that does nothing more, and would not end by itself."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def _told(file: Path) -> bytes:
    if file.name in NOT_OF_THE_SPECIFICATION:
        return b""
    if file.name != "row.json":
        return file.read_bytes()
    row = json.loads(file.read_bytes())
    del row["date"]
    return json.dumps(row).encode()


def _processes_with(variable: str) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def _command(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8")
    return ""
