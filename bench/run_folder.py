"""The folder of a run: its manifest, its log and how its parts are told."""

import datetime
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.api import Frozen
from bench.documents import MALFORMED
from bench.errors import UserError
from bench.made import MANIFEST
from bench.plan import Specification
from bench.redaction import redacted
from bench.results import RESULT_FILE, ROWS_FILE
from bench.store import PART, ImageStore, write_atomically

STAGES = ("train", "generate", "score")
LOG = "log.jsonl"


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

    def tidy(self) -> None:
        """Remove what kills left half-written, while nobody is at work in here."""
        for place, folders, files in os.walk(self.folder):
            for folder in filter(_is_part, folders):
                shutil.rmtree(Path(place, folder))
            for file in filter(_is_part, files):
                Path(place, file).unlink()

    def log(self, event: Mapping[str, Any]) -> None:
        """Append an event with its time; several processes may."""
        log_to(self.folder, event)

    def seconds(self) -> dict[str, float]:
        """How long each stage took, added up over every time that it ran to its end."""
        totals = dict.fromkeys(STAGES, 0.0)
        path = self.folder / LOG
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for stage, seconds in filter(None, map(_stage, there.splitlines())):
            totals[stage] += seconds
        return {stage: round(total, 1) for stage, total in totals.items()}


def log_to(folder: Path, event: Mapping[str, Any]) -> None:
    """Append an event with its time to a run's log."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:
        log.write(redacted(json.dumps({"time": now, **event})) + "\n")


@contextmanager
def stage_in(folder: Path, name: str) -> Iterator[None]:
    """Logs how long a stage took that ran to its end."""
    began = time.monotonic()
    yield
    log_to(folder, {"event": "stage", "stage": name, "seconds": time.monotonic() - began})


def _is_part(name: str) -> bool:
    return name.endswith(PART)


def _plain(model: Frozen) -> dict[str, Any]:
    plain: dict[str, Any] = model.model_dump(mode="json")
    return plain


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest["specification"], dict):
            return dict(manifest)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise UserError(f"{path} is damaged; choose another --out.")


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


def _stage(line: str) -> tuple[str, float] | None:
    """A stage and its seconds; None for other events, and for lines torn by a kill."""
    try:
        event = json.loads(line)
        stage, seconds = event["stage"], float(event["seconds"])
    except MALFORMED:
        return None
    return (stage, seconds) if event.get("event") == "stage" and stage in STAGES else None
