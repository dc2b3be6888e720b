"""A worker: does pieces of work, one after another, and keeps what it loaded for the next.

It works in the folder that the piece names, publishes what it made there, and tells the rest to
whoever gave it the piece.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.api import Method, Progress, Workspace, silent
from bench.counterparts import find_counterparts
from bench.drawing import Easel
from bench.errors import UserError
from bench.gallery import Gallery, identity_of
from bench.identity import file_digest
from bench.made import MANIFEST, shown_by_method
from bench.paths import cache
from bench.pieces import Job, Outcome, Piece, Seen, Span, Stated
from bench.places import Place, place_of
from bench.plan import NO_BACKBONE, Plan, Specification, specify
from bench.processes import processes
from bench.questions import Questions
from bench.run_folder import log_to, stage_in
from bench.score import Networks, look
from bench.sitting import Sitting
from bench.stamp import demand_same
from bench.store import PART, SHARDS, ImageStore
from bench.trainings import Trainings

if TYPE_CHECKING:
    from PIL.Image import Image

EVERY = 60.0
"""Seconds between two publications of a training that is under way."""


@dataclass(frozen=True)
class Ready:
    """A job with its backbone and method at hand."""

    backbone: Any
    method: Method
    specification: Specification


class Worker:
    """Does pieces of ``jobs``; the last job's backbone, method and encoders stay at hand."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._ready: tuple[int, Ready] | None = None
        self._easel: tuple[str, Easel] | None = None
        self._networks: Networks = {}

    def do(self, piece: Piece, progress: Progress = silent) -> Outcome:
        """What a piece asks for. UserError where it cannot be done, here or by this version."""
        demand_same(piece.stamp)
        if piece.kind == "specify":
            return self._specify(piece)
        if piece.kind == "look":
            return self._look(piece, progress)
        easel = self._at_easel(piece, progress)
        if piece.kind == "train":
            easel.train()
        else:
            self._draw(easel, piece)
        self._publish_checkpoints(piece)
        return None

    def assist(self, number: int, folder: Path) -> None:
        """A share of a training that the first of several processes leads."""
        method = self._at_hand(number).method
        with processes().led(nullcontext()):
            method.train(Workspace(folder / "checkpoints", cache(), _unheard))

    def _specify(self, piece: Piece) -> Stated:
        plan = self._jobs[piece.job].plan
        Questions(Gallery(plan.suite))(plan.cases[0])
        ready = self._at_hand(piece.job)
        backbone = ready.backbone
        return Stated(
            specification=ready.specification,
            device=str(backbone.device),
            dtype=str(backbone.dtype).split(".")[-1],
            mini=backbone.spec.mini or plan.protocol.mini_weights,
            batch=backbone.spec.batch,
            scope=ready.method.scope,
        )

    def _at_hand(self, number: int) -> Ready:
        if self._ready is None or self._ready[0] != number:
            self._ready = self._easel = None  # two backbones need not fit at once
            self._ready = number, _make_ready(self._jobs[number])
        return self._ready[1]

    def _at_easel(self, piece: Piece, progress: Progress) -> Easel:
        """The job's easel, under way since an earlier piece of it."""
        ready, plan = self._at_hand(piece.job), self._jobs[piece.job].plan
        if ready.specification.identity != piece.identity:
            raise UserError(
                f"What '{plan.method}' would draw here is not what the run was started for: its "
                "weights or files are others on this machine; bring the same, then run the same "
                "command again."
            )
        place = place_of(piece.place)
        place.fetch(MANIFEST)
        if self._easel is None or self._easel[0] != piece.place:
            if ready.method.scope != "subject":
                place.fetch("checkpoints/")
            log = partial(log_to, place.folder)
            workspace = Workspace(place.folder / "checkpoints", cache(), log, silent)
            easel = Easel(
                plan,
                ready.method,
                ready.backbone.spec.batch,
                workspace,
                partial(stage_in, place.folder),
                Trainings.here(ready.specification),
            )
            self._easel = piece.place, easel
        easel = self._easel[1]
        easel.workspace = replace(easel.workspace, progress=self._publishing(piece, progress))
        return easel

    def _draw(self, easel: Easel, piece: Piece) -> None:
        place, span = place_of(piece.place), Span(piece.name, piece.start, piece.stop)
        if easel.method.scope == "subject":
            place.fetch(f"checkpoints/{piece.name}/")
        place.fetch(f"images/{SHARDS}/{piece.name}.jsonl")
        store = PublishedStore(place, piece.name)
        easel.draw(span, store, frozenset(piece.finished))

    def _look(self, piece: Piece, progress: Progress) -> Seen:
        """At the images of a piece and the photographs beside them, as far as they are intact."""
        job, place = self._jobs[piece.job], place_of(piece.place)
        cases = job.plan.cases[piece.start : piece.stop]
        place.fetch(*(f"images/{case.file}" for case in cases))
        store = place.folder / "images"
        images = [(case, store / case.file, piece.finished[case.file]) for case in cases]
        damaged = tuple(case.file for case, path, digest in images if not _intact(path, digest))
        if damaged:
            return Seen(damaged=damaged)
        plan = job.plan
        counterparts = find_counterparts(
            plan.suite, plan.protocol, cases, job.vanilla, plan.backbone
        )
        gallery, shown = Gallery(plan.suite), shown_by_method(plan)
        sitting = Sitting.of_files(images, gallery, plan.protocol, shown, counterparts)
        return Seen(look(sitting, progress, networks=self._networks))

    def _publishing(self, piece: Piece, progress: Progress) -> Progress:
        """Progress during which checkpoints are published now and then."""
        last = time.monotonic()

        def told(title: str, done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last > EVERY:
                self._publish_checkpoints(piece)
                last = time.monotonic()
            progress(title, done, total)

        return told

    def _publish_checkpoints(self, piece: Piece) -> None:
        """Those of what the piece trains, and not of what others train beside it."""
        place, method = place_of(piece.place), self._at_hand(piece.job).method
        alone = piece.kind == "draw" and method.scope == "subject"
        folder = place.folder / "checkpoints" / (piece.name if alone else "")
        files = (file for file in folder.rglob("*") if file.is_file())
        place.publish(*sorted(file for file in files if not file.name.endswith(PART)))


class PublishedStore(ImageStore):
    """A shard of a run's images; what is put there is seen by others once it is listed."""

    def __init__(self, place: Place, shard: str) -> None:
        super().__init__(place.folder / "images", shard)
        self._place = place

    def put_all(self, images: Mapping[str, Image]) -> None:
        super().put_all(images)
        if images:
            self._place.publish(*map(self.path, images), self.ledger)


def _make_ready(job: Job) -> Ready:
    plan = job.plan
    brought = _vanilla_digest(job)
    encoders = {name: registry.load("encoder", name)().digest for name in _encoders(plan)}
    together = processes()  # before the backbone is put on an accelerator
    backbone = _backbone(plan)
    factory = registry.load("method", plan.method)
    method = factory(backbone, factory.Options.model_validate(plan.options))
    if together.count > 1 and method.scope == "subject":
        raise UserError(
            f"'{plan.method}' trains a subject at a time, which one process does; run it without "
            "accelerate launch."
        )
    return Ready(backbone, method, specify(plan, method, backbone.spec.digest, encoders, brought))


def _vanilla_digest(job: Job) -> dict[str, str]:
    plan = job.plan
    found = find_counterparts(plan.suite, plan.protocol, plan.cases, job.vanilla, plan.backbone)
    made = found.get("vanilla", {})
    return {"vanilla": identity_of(made.values())} if made else {}


def _encoders(plan: Plan) -> list[str]:
    return list(dict.fromkeys(spec.encoder for spec in plan.protocol.metrics))


def _backbone(plan: Plan) -> Any:
    """What is to be known of a backbone, also where there is none."""
    if plan.backbone != NO_BACKBONE:
        return registry.load("backbone", plan.backbone)()
    spec = SimpleNamespace(digest=NO_BACKBONE, batch=1, mini=False)
    return SimpleNamespace(spec=spec, device="cpu", dtype=NO_BACKBONE)


def _intact(path: Path, digest: str) -> bool:
    return path.is_file() and file_digest(path) == digest


def _unheard(event: Mapping[str, Any]) -> None:
    """The first process keeps the log."""


def end_with(parent: int) -> None:
    """Leave at once where the process that started this one is gone: nobody waits for it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
