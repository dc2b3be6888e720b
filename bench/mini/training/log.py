"""The trainings' logs: one JSON object a line in ``log.jsonl``."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def logger(folder: Path) -> Callable[[Mapping[str, Any]], None]:
    """A function that appends events to the folder's log."""

    def log(event: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(event)) + "\n")

    return log
