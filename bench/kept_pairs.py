"""The pairs that runs have made and kept: a line for each folder, read from its manifest alone."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.documents import MALFORMED, json_of
from bench.errors import UserError

MANIFEST = "manifest.json"
"""As ``bench.methods.pair_folder`` writes it; importing that would import torch."""


def list_pairs(cache: Path) -> list[dict[str, Any]]:
    """Finished folders of pairs, oldest first; ``size`` in bytes, ``made`` in UTC."""
    manifests = (cache / "pairs").glob(f"*/{MANIFEST}")
    rows = (_row(path) for path in sorted(manifests, key=lambda path: path.stat().st_mtime))
    return [row for row in rows if row]


def find_pairs(name: str, cache: Path) -> Path:
    """A folder by its path, or by the beginning of its identity. UserError unless there is one."""
    if (Path(name) / MANIFEST).is_file():
        return Path(name)
    found = [row["id"] for row in list_pairs(cache) if row["id"].startswith(name)]
    if len(found) != 1:
        what = "several finished pairs" if found else "no finished pairs"
        raise UserError(
            f"'{name}' names {what} under {cache / 'pairs'}; `bench pairs list` names them all."
        )
    return cache / "pairs" / str(found[0])


def said(source: Mapping[str, Any]) -> str:
    """Where candidates come from, in a line: "cdns: image=blur, radius=5.0"."""
    details = [f"{key}={value}" for key, value in source.items() if key != "source"]
    return f"{source['source']}: {', '.join(details)}"


def _row(path: Path) -> dict[str, Any] | None:
    """None for a manifest that cannot be read: the next run makes it again."""
    try:
        manifest = json_of(path)
        return {
            "id": path.parent.name,
            "source": said(manifest["specification"]["source"]),
            "corpus": manifest["corpus"],
            "backbone": manifest.get("backbone"),
            "n": len(manifest["items"]),
            "draws": manifest["draws"],
            "made": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="minutes"),
            "size": sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file()),
        }
    except MALFORMED:
        return None
