"""Planning and resuming a run of a million images: seconds, and the memory of the process.

By hand: ``python -m tests.benchmarks.million``. Subjects and prompts are made up, and whoever draws
stores an image of a few pixels; plan, pieces, workshop and store are those of every run. Each line
is measured in a process of its own.
"""

import argparse
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

from PIL import Image

from bench.api import Case, Method, silent
from bench.executors import Told
from bench.pieces import Job, Outcome, Piece, Stated
from bench.places import place_of
from bench.plan import Plan, Request, make_plan, specify
from bench.store import ImageStore
from bench.suites import freeze
from bench.worker import PublishedStore
from bench.workshop import Workshop

PROMPTS, SEEDS, BATCH = 25, 4, 4
SUITE = "million"
STATED = """\
title = "Made up"
source = "files"
default_backbone = "mini"
headline = "headline"
licence = "none"
citation = "none"
"""
PROTOCOL = """\
description = "Made up"
name_in_prompt = "class_noun"
seeds = {seeds}
input_reference = "00.png"
mini_weights = true

[[metrics]]
metric = "clip_t"
encoder = "mini-clip"
"""
Figures = dict[str, float | int]


class Enough(Exception):
    """What was to be measured is over."""


@dataclass
class Scribes:
    """Workers who store small images, as long as ``share`` of what is left allows.

    ``handed``: the first piece that is left to others.
    """

    plan: Plan
    share: float = 0.0
    workers: int = 2
    handed: list[Piece] = field(default_factory=list)

    def do(self, pieces: Iterable[Piece], told: Told) -> Iterator[tuple[Piece, Outcome]]:
        waiting = iter(pieces)
        for piece in waiting:
            if piece.kind == "specify":
                yield piece, stated(self.plan)
            elif piece.kind == "train":
                yield piece, None
            elif piece.kind == "draw" and self.share:
                asked = [piece, *waiting]
                yield from self._drawn(asked[: round(len(asked) * self.share)])
                raise Enough
            else:
                self.handed.append(piece)
                raise Enough

    def _drawn(self, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Outcome]]:
        """By processes that do not wait for the disk, as nothing of this is to be kept."""
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(self.workers, context, _hurry) as pool:
            work = [(piece, _files(self.plan.cases[piece.start : piece.stop])) for piece in pieces]
            for piece, _ in zip(pieces, pool.map(_store, work, chunksize=64), strict=True):
                yield piece, None


def _hurry() -> None:
    patch("os.fsync", int).start()


def _files(cases: Sequence[Case]) -> list[str]:
    return [case.file for case in cases]


def _store(work: tuple[Piece, list[str]]) -> None:
    piece, files = work
    store = PublishedStore(place_of(piece.place), piece.name)
    for start in range(0, len(files), BATCH):
        group = [file for file in files[start : start + BATCH] if file not in piece.finished]
        store.put_all({file: Image.new("RGB", (4, 4), _colour(file)) for file in group})


def _colour(file: str) -> tuple[int, int, int]:
    return hash(file) % 256, hash(file) // 256 % 256, len(file) % 256


def write_suite(home: Path, subjects: int) -> None:
    """A suite of so many subjects with a photograph each that nobody opens, frozen."""
    folder = home / "suites" / SUITE / "1"
    (folder / "protocols").mkdir(parents=True)
    names = [f"subject-{number:05d}" for number in range(subjects)]
    (folder / "suite.toml").write_text(STATED)
    (folder / "protocols" / "headline@1.toml").write_text(PROTOCOL.format(seeds=SEEDS))
    photographs = [(f"{name}/00.png", 64 * "0", "1") for name in names]
    _write_table(folder / "images.tsv", ("path", "sha256", "bytes"), photographs)
    header = ("directory", "class_noun", "descriptive_name", "live")
    _write_table(folder / "subjects.tsv", header, [(n, "cup", "red cup", "0") for n in names])
    prompts = [f"a photograph of a {{}} in the place number {k:02d}" for k in range(PROMPTS)]
    (folder / "prompts_object.txt").write_text("\n".join(prompts) + "\n")
    freeze(folder)


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n")


def planned() -> Plan:
    """The whole suite, by a method that needs no weights."""
    return make_plan(Request(method="noise", suite=SUITE))


def stated(plan: Plan) -> Stated:
    """As a worker would say it that has loaded the method."""
    method = SimpleNamespace(revision=1, inputs={})
    specification = specify(plan, cast(Method, method), "none", {"mini-clip": 64 * "0"})
    return Stated(specification, "cpu", "float32", True, BATCH, "none")


def carried_out(plan: Plan, out: Path, share: float = 0.0) -> Scribes:
    """A run up to its first piece of drawing or looking, or until a share of it is drawn."""
    scribes = Scribes(plan, share)
    with suppress(Enough):
        Workshop([Job(plan, None, out)], scribes, silent).carry_out([0])
    return scribes


def plan_all(out: Path) -> Figures:
    """A run that is new: the plan, its identity and the first piece of drawing."""
    began = time.perf_counter()
    plan = planned()
    made = time.perf_counter()
    identity = stated(plan).specification.identity
    told = time.perf_counter()
    scribes = carried_out(plan, out.with_name("new"))
    [piece] = scribes.handed
    assert piece.kind == "draw" and piece.identity == identity
    return {
        "cases": len(plan.cases),
        "plan s": made - began,
        "identity s": told - made,
        "first piece s": time.perf_counter() - told,
    }


def draw_half(out: Path) -> Figures:
    """Half of all pieces."""
    return _draw(out, 0.5)


def draw_rest(out: Path) -> Figures:
    """What is left of them."""
    return _draw(out, 1.0)


def _draw(out: Path, share: float) -> Figures:
    plan, before = planned(), _count(out)
    began = time.perf_counter()
    carried_out(plan, out, share)
    images = _count(out) - before
    return {"images": images, "images/s": images / (time.perf_counter() - began)}


def resume(out: Path) -> Figures:
    """From the start of the command to the first piece that is handed out."""
    began = time.perf_counter()
    plan = planned()
    made = time.perf_counter()
    scribes = carried_out(plan, out)
    ended = time.perf_counter()
    [piece] = scribes.handed
    return {
        "plan s": made - began,
        "to the first piece s": ended - made,
        "in all s": ended - began,
        "found": len(plan.cases) if piece.kind == "look" else piece.start,
    }


def read(out: Path) -> Figures:
    """The ledger, or its shards, and every image's age beside it."""
    began = time.perf_counter()
    store = ImageStore(out / "images")
    known = time.perf_counter()
    store.verify()
    ended = time.perf_counter()
    ledgers = [store.ledger, *(store.folder / "ledger").glob("*.jsonl")]
    there = [path for path in ledgers if path.is_file()]
    return {
        "files": len(there),
        "MB": sum(path.stat().st_size for path in there) / 1e6,
        "images": len(store.digests),
        "read s": known - began,
        "verify s": ended - known,
    }


PHASES: dict[str, tuple[str, Callable[[Path], Figures]]] = {
    "plan": ("planned", plan_all),
    "half": ("half drawn", draw_half),
    "read-half": ("its shards", read),
    "resume-half": ("resumed half-way", resume),
    "rest": ("the rest drawn", draw_rest),
    "read-shards": ("all shards", read),
    "resume-shards": ("resumed, gathering", resume),
    "read-ledger": ("the one ledger", read),
    "resume-ledger": ("resumed, gathered", resume),
}


def _count(out: Path) -> int:
    return sum(name.endswith(".png") for _, _, files in os.walk(out / "images") for name in files)


def main() -> None:
    """Print every figure, a line for each process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.phase:
        figures = PHASES[asked.phase][1](asked.out)
        sys.stdout.write(json.dumps({**figures, "cpu s": time.process_time(), "peak MiB": _peak()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_suite(root / "home", asked.cases // (PROMPTS * SEEDS))
        for phase, (title, _) in PHASES.items():
            _say(title, _alone(phase, root))


def _alone(phase: str, root: Path) -> Figures:
    command = [sys.executable, "-m", "tests.benchmarks.million", "--phase", phase]
    home = {**os.environ, "SUBJECTBENCH_HOME": str(root / "home")}
    told = subprocess.check_output([*command, "--out", str(root / "run")], env=home, text=True)
    figures: Figures = json.loads(told)
    return figures


def _peak() -> float:
    """MiB that this process held at most."""
    status = Path("/proc/self/status").read_text()
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def _say(what: str, figures: Figures) -> None:
    told = [f"{name} {value:,.{int(isinstance(value, float))}f}" for name, value in figures.items()]
    sys.stdout.write(f"{what:<22} {'; '.join(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
