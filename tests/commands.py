"""Running `bench` as a user does, with a home of its own: as a process, or quickly in this one."""

import json
import os
import subprocess
import sys
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.cli import main

QUICK = ("--set", "iterations=60", "--set", "batch=1", "--set", "micro_batch=1")
QUICK_PAIRS = ("--set", "negatives=32", "--set", "steps=4")
"""SFO in seconds: few steps, few pairs, coarse sampling. Nothing is claimed of its quality."""


def environment(home: Path) -> dict[str, str]:
    """One thread, so that other work on the machine cannot change the order of any sum."""
    return {**os.environ, "SUBJECTBENCH_HOME": str(home), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}


def start(*arguments: str | Path, home: Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`bench ARGUMENTS` as a process of its own."""
    command = [sys.executable, "-c", "from bench.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
        cwd=cwd,
    )


def bench(
    *arguments: str | Path, home: Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    process = start(*arguments, home=home, cwd=cwd)
    out, err = process.communicate(timeout=900)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def here(
    *arguments: str | Path, home: Path, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end in this process, so that torch is imported once for many commands.

    For what no library decides when it is imported: the hub's address is such a thing.
    """
    words, out, err = ["bench", *map(str, arguments)], StringIO(), StringIO()
    with (
        patch.dict(os.environ, environment(home)),
        patch.object(sys, "argv", words),
        chdir(cwd or Path.cwd()),
        redirect_stdout(out),
        redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def bench_json(*arguments: str | Path, home: Path) -> Any:
    """Run with ``--json`` and parse all of standard output as one document."""
    return document_of(bench(*arguments, "--json", home=home))


def json_here(*arguments: str | Path, home: Path) -> Any:
    """``bench_json`` in this process."""
    return document_of(here(*arguments, "--json", home=home))


def document_of(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command that went well has printed with ``--json``."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(*arguments: str | Path, home: Path) -> str:
    """Run what must fail with exit code 2; returns the one sentence on standard error."""
    return sentence_of(bench(*arguments, home=home))


def refusal_here(*arguments: str | Path, home: Path) -> str:
    """``refusal`` in this process."""
    return sentence_of(here(*arguments, home=home))


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a command which failed with exit code 2 has said."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("bench: ")
