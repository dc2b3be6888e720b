"""A run: train, generate, score, in a folder that a killed run goes on from.

The folder holds manifest.json, checkpoints/, images/, rows.parquet, row.json and log.jsonl. All but
the log follow from the specification: a resumed run ends with the bytes of an undisturbed one.
"""

import datetime
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench import registry
from bench.api import (
    Comparer,
    Encoder,
    Frozen,
    Method,
    Progress,
    Workspace,
    rows_identity,
    silent,
)
from bench.counterparts import find_counterparts
from bench.drawing import has_all, train_and_draw
from bench.errors import UserError
from bench.gallery import Gallery, identity_of
from bench.made import MANIFEST
from bench.paths import cache
from bench.plan import NO_BACKBONE, Plan, Specification, specify
from bench.processes import processes
from bench.questions import Questions
from bench.results import (
    RESULT_FILE,
    ROWS_FILE,
    Environment,
    RunResult,
    read_measured,
    write_result,
    write_rows,
)
from bench.score import aggregates, score
from bench.sitting import Counterparts, Shown, Sitting, not_shown
from bench.store import ImageStore, exclusive, write_atomically
from bench.trainings import Trainings

STAGES = ("train", "generate", "score")


class RunFolder:
    """The folder of one specification."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = ImageStore(folder / "images")

    @property
    def scored(self) -> bool:
        return all((self.folder / name).is_file() for name in (RESULT_FILE, ROWS_FILE))

    def claim(self, specification: Specification) -> None:
        """Take an empty folder, or go on in one of the same specification.

        UserError, and nothing touched, when it belongs to another one.
        """
        path = self.folder / MANIFEST
        content = {"identity": specification.identity, "specification": _plain(specification)}
        if not path.exists():
            if self.folder.exists() and any(f.name != ".lock" for f in self.folder.iterdir()):
                raise UserError(
                    f"{self.folder} is not empty and holds no run; choose another --out."
                )
            write_atomically(path, json.dumps(content, indent=2, sort_keys=True) + "\n")
            return
        found = _read_manifest(path)
        if found.get("identity") != specification.identity:
            raise UserError(
                f"{self.folder} holds another run ({_difference(found, content)}); choose another "
                "--out, or give the options of that run to continue it."
            )

    def log(self, event: Mapping[str, Any]) -> None:
        """Append an event with its time."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps({"time": now, **event}) + "\n")

    def seconds(self) -> dict[str, float]:
        """How long each stage took, added up over every time that it ran to its end."""
        totals = dict.fromkeys(STAGES, 0.0)
        path = self.folder / "log.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            event = _parsed(line)
            if event.get("event") == "stage" and event.get("stage") in totals:
                totals[event["stage"]] += float(event["seconds"])
        return {stage: round(total, 1) for stage, total in totals.items()}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.log({"event": "stage", "stage": name, "seconds": time.monotonic() - began})


@dataclass(frozen=True)
class _Ready:
    """A plan with everything at hand that it needs."""

    backbone: Any
    method: Method
    specification: Specification
    counterparts: Counterparts
    folder: RunFolder


def execute(
    plan: Plan, out: Path | None, progress: Progress = silent, vanilla: Path | None = None
) -> tuple[Path, RunResult]:
    """Do what is left of a plan; returns the run's folder and its result.

    ``vanilla`` holds images of the same cases without the subject, for protocols that want them.
    Everything that can be missing (data, weights) is looked for before anything long begins.
    """
    ready = _make_ready(plan, out, progress, vanilla)
    folder, method, backbone = ready.folder, ready.method, ready.backbone
    with exclusive(folder.folder, wait=False):
        folder.claim(ready.specification)
        folder.images.verify()
        if folder.scored and has_all(folder.images, plan.cases):
            return folder.folder, read_measured(folder.folder).result
        workspace = Workspace(folder.folder / "checkpoints", cache(), folder.log, progress)
        batch = backbone.spec.batch
        trainings = _trainings(plan, ready.specification)
        train_and_draw(plan, method, batch, folder.images, workspace, folder.stage, trainings)
        environment = Environment.here(str(backbone.device), str(backbone.dtype).split(".")[-1])
        mini = backbone.spec.mini or plan.protocol.mini_weights
        shown = getattr(method, "shown", not_shown)
        return folder.folder, _score(
            plan,
            ready.specification,
            mini,
            environment,
            folder,
            shown,
            ready.counterparts,
            progress,
        )


def assist(plan: Plan, out: Path | None, vanilla: Path | None = None) -> None:
    """What every process of ``accelerate launch`` but the first does: its share of the training."""
    ready = _make_ready(plan, out, silent, vanilla)
    folder = ready.folder.folder
    if not has_all(ready.folder.images, plan.cases):
        ready.method.train(Workspace(folder / "checkpoints", cache(), _unheard))


def _make_ready(plan: Plan, out: Path | None, progress: Progress, vanilla: Path | None) -> _Ready:
    Questions(Gallery(plan.suite))(plan.cases[0])
    counterparts = find_counterparts(
        plan.suite, plan.protocol, plan.cases, vanilla, plan.backbone, progress
    )
    made = counterparts.get("vanilla", {})
    brought = {"vanilla": identity_of(made.values())} if made else {}
    encoders = _encoders(plan)
    together = processes()  # before the backbone is put on an accelerator
    backbone = _backbone(plan)
    factory = registry.load("method", plan.method)
    method = factory(backbone, factory.Options.model_validate(plan.options))
    if together.count > 1 and method.scope == "subject":
        raise UserError(
            f"'{plan.method}' trains a subject at a time, which one process does; run it without "
            "accelerate launch."
        )
    digests = {name: encoder.digest for name, encoder in encoders.items()}
    specification = specify(plan, method, backbone.spec.digest, digests, brought)
    folder = RunFolder(out or default_folder(plan, specification))
    return _Ready(backbone, method, specification, counterparts, folder)


def _trainings(plan: Plan, specification: Specification) -> Trainings:
    """Where the trainings of subjects are shared with other runs."""
    options = registry.load("method", plan.method).Options
    drawing: frozenset[str] = getattr(options, "drawing", frozenset())
    return Trainings(cache() / "trainings", specification, drawing)


def _unheard(event: Mapping[str, Any]) -> None:
    """The first process keeps the log."""


def default_folder(plan: Plan, specification: Specification) -> Path:
    """``runs/<suite>/<method>-<backbone>-<identity>`` under the working directory."""
    name = f"{plan.method}-{plan.backbone}-{specification.identity[:12]}"
    return Path("runs") / plan.suite.key / name


def _score(
    plan: Plan,
    specification: Specification,
    mini_weights: bool,
    environment: Environment,
    folder: RunFolder,
    shown: Shown,
    counterparts: Counterparts,
    progress: Progress,
) -> RunResult:
    store = folder.images
    images = [(case, store.path(case.file), store.digests[case.file]) for case in plan.cases]
    with folder.stage("score"):
        gallery = Gallery(plan.suite)
        sitting = Sitting.of_files(images, gallery, plan.protocol, shown, counterparts)
        rows = score(sitting, progress)
        write_rows(rows, folder.folder / ROWS_FILE)
    result = RunResult(
        identity=specification.identity,
        method=plan.method,
        method_revision=specification.method_revision,
        options={**specification.options, **specification.inputs},
        suite=plan.suite.key,
        suite_identity=plan.suite.identity,
        protocol=plan.protocol.key,
        protocol_identity=plan.protocol.identity,
        backbone=plan.backbone,
        backbone_digest=specification.backbone_digest,
        mini_weights=mini_weights,
        n_subjects=len(plan.subjects),
        n_prompts=len({case.prompt_index for case in plan.cases}),
        n_seeds=plan.seeds,
        limited=plan.limited,
        metrics=aggregates(rows, sitting),
        rows_identity=rows_identity(rows),
        environment=environment,
        date=datetime.datetime.now(datetime.UTC).date(),
    )
    write_result(result, folder.folder / RESULT_FILE)
    return result


def _backbone(plan: Plan) -> Any:
    """What ``execute`` has to know of a backbone, also where there is none."""
    if plan.backbone != NO_BACKBONE:
        return registry.load("backbone", plan.backbone)()
    spec = SimpleNamespace(digest=NO_BACKBONE, batch=1, mini=False)
    return SimpleNamespace(spec=spec, device="cpu", dtype=NO_BACKBONE)


def _encoders(plan: Plan) -> dict[str, Encoder | Comparer]:
    names = dict.fromkeys(spec.encoder for spec in plan.protocol.metrics)
    return {name: registry.load("encoder", name)() for name in names}


def _plain(model: Frozen) -> dict[str, Any]:
    plain: dict[str, Any] = model.model_dump(mode="json")
    return plain


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged; choose another --out.") from error
    return manifest


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first things in which two manifests differ, in words."""
    theirs, ours = found.get("specification", {}), wanted["specification"]
    differing = []
    for key in ours:
        if isinstance(ours[key], dict) and isinstance(theirs.get(key), dict):
            inner = sorted(ours[key].keys() | theirs[key].keys())
            differing += [
                f"{k}: {theirs[key].get(k)} there, {ours[key].get(k)} here"
                for k in inner
                if theirs[key].get(k) != ours[key].get(k)
            ]
        elif theirs.get(key) != ours[key]:
            differing.append(f"{key}: {_short(theirs.get(key))} there, {_short(ours[key])} here")
    return "; ".join(differing[:3]) or "another version of the manifest"


def _short(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, list) else str(value)


def _parsed(line: str) -> dict[str, Any]:
    """An event of the log; a line torn by a kill tells nothing."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return event
