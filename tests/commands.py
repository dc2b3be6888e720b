"""Running `bench` as a user does: a real process with a home of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def bench_json(*arguments: str | Path, home: Path) -> Any:
    """Run with ``--json`` and parse all of standard output as one document."""
    done = bench(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(*arguments: str | Path, home: Path) -> str:
    """Run what must fail with exit code 2; returns the one sentence on standard error."""
    done = bench(*arguments, home=home)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("bench: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0].removeprefix("bench: ")
