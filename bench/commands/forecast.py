"""How a dry run is told to people: what is left, what that takes, whether it fits."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.commands.output import say

if TYPE_CHECKING:
    from rich.table import Table

STAGES = {
    "pairs": ("images to train on", "pairs"),
    "training": ("trainings", "trainings"),
    "answers": ("images to draw", "images"),
    "scores": ("images to score", "to_score"),
}
"""How a stage is called, and what is counted of it among what is left."""
SAID = ("method", "backbone", "suite", "protocol")
"""What runs may differ in, beside their options."""
UNKNOWN = "?"


def show(document: Mapping[str, Any]) -> None:
    """One plan, as ``bench.cost.dry_run.describe`` tells it."""
    from bench.terminal import stdout

    counts = f"{document['n_subjects']} subjects, {document['n_images']} images"
    say(f"{_name(document)}: {counts}")
    say(_where(document["done"], document["n_images"]))
    if not any(document["left"].values()):
        say("Nothing is left to do.")
        return
    say("")
    stdout.print(_stages(document))
    say("")
    cost = document["cost"]
    _show_fit({**document, **cost})
    if isinstance(cost["training"], str) and cost["training"] != "none":
        say(f"Training: {cost['training']}")
    say("Assumed:")
    for assumption in cost["assumptions"]:
        say(f"  {assumption}")


def show_all(document: Mapping[str, Any]) -> None:
    """Several plans and their sum, as ``bench.cost.dry_run.describe_all`` tells them."""
    from bench.terminal import stdout

    total = document["total"]
    stdout.print(_runs(document["runs"], total))
    say("")
    if total["shared"]:
        say(f"Shared: {total['shared']} trainings or sets of pairs that other runs of these make")
    if total["done"]:
        say(f"There already: {total['done']} images")
    _show_fit(total)
    if total["not_known"]:
        say(f"Not in these figures: trainings of {', '.join(total['not_known'])}")
    say("Assumed:")
    told = (line for run in document["runs"] for line in run["cost"]["assumptions"])
    for assumption in dict.fromkeys(told):
        say(f"  {assumption}")


def _name(document: Mapping[str, Any]) -> str:
    where = f"{document['suite']} ({document['protocol']})"
    backbone = document["backbone"]
    return f"{document['method']} on {where}{f' with {backbone}' if backbone != 'none' else ''}"


def _where(done: Mapping[str, Any], images: int) -> str:
    count = done["kept_trainings"]
    kept = f"; other runs have kept {count} of its trainings" if count else ""
    kept += "; its pairs are kept" if done["kept_pairs"] else ""
    if done["another_run"]:
        return f"The folder asked for holds another run: choose another --out{kept}."
    if done["run"] is None:
        return f"There is no run of it yet{kept}."
    scored = ", scored" if done["scored"] else ""
    return f"{done['run']} has {done['images']} of {images} images{scored}{kept}."


def _stages(document: Mapping[str, Any]) -> "Table":
    cost, left = document["cost"], document["left"]
    table = _table("left", "", "disk", "operations", "device time")
    disk, work, hours = (cost[key] or {} for key in ("disk_gb", "pflop", "hours_of"))
    for stage, (name, counted) in STAGES.items():
        if not left[counted] and not work.get(stage):
            continue
        kept = "checkpoints" if stage == "training" else stage
        own = (disk.get(kept), work.get(stage), hours.get(stage))
        figures = _figures(*own) if stage != "scores" else ["", "", duration(own[2])]
        table.add_row(name, str(left[counted]), *figures)
    if encoded := disk.get("encoded"):
        table.add_row("encoded, where there is room", "", size(encoded), "", "")
    table.add_section()
    whole = (sum(disk.values()), sum(work.values()), cost["hours"])
    table.add_row("all", "", *_figures(*whole))
    return table


def _runs(runs: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> "Table":
    from bench.names import names

    table = _table("left", "trainings", "images", "disk", "operations", "device time")
    told = names([{**run["options"], **{key: run[key] for key in SAID}} for run in runs])
    for name, run in zip(told, runs, strict=True):
        left, cost = run["left"], run["cost"]
        disk, work = sum(cost["disk_gb"].values()), sum((cost["pflop"] or {}).values())
        table.add_row(
            name,
            str(left["trainings"]),
            str(left["images"]),
            *_figures(disk, work, cost["hours"]),
        )
    table.add_section()
    left = total["left"]
    disk, work = sum(total["disk_gb"].values()), sum(total["pflop"].values())
    counts = (str(left["trainings"]), str(left["images"]))
    table.add_row(f"all {total['n_runs']}", *counts, *_figures(disk, work, total["hours"]))
    return table


def _table(first: str, *columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _figures(gigabytes: float | None, petaflop: float | None, hours: float | None) -> list[str]:
    return [size(gigabytes), operations(petaflop), duration(hours)]


def _show_fit(told: Mapping[str, Any]) -> None:
    """What is needed beside what is there."""
    for disk in told["disks"]:
        where = ", ".join(disk["folders"])
        say(f"Disk: {size(disk['needed_gb'])} of {size(disk['free_gb'])} free ({where})")
    for memory in told["memories"]:
        needed = f"{size(memory['needed_gb'])} at once, {size(memory['weights_gb'])} of it weights"
        say(f"Memory: {needed}; {memory['device']} has {size(memory['device_gb'])}")
    if told["wall_hours"] is not None:
        workers = f"{told['workers']} worker{'s' * (told['workers'] != 1)}"
        say(f"Time: {duration(told['wall_hours'])} with {workers}")
    for warning in told["warnings"]:
        say(f"! {warning}")


def size(gigabytes: float | None) -> str:
    """As people say it: "12.3 GB", "840 MB"; "?" where it is not known."""
    return _in_units(gigabytes, (("TB", 1e3), ("GB", 1.0), ("MB", 1e-3), ("kB", 1e-6)))


def operations(petaflop: float | None) -> str:
    """Floating-point operations as people say them: "3.2 PFLOP"."""
    return _in_units(petaflop, (("EFLOP", 1e3), ("PFLOP", 1.0), ("TFLOP", 1e-3), ("GFLOP", 1e-6)))


def duration(hours: float | None) -> str:
    """A time as people say it: "2.5 h", "12 min"."""
    return _in_units(hours, (("days", 48.0), ("h", 1.0), ("min", 1 / 60), ("s", 1 / 3600)))


def _in_units(figure: float | None, units: Sequence[tuple[str, float]]) -> str:
    """In the largest unit of which there is one, three digits."""
    if figure is None:
        return UNKNOWN
    if figure == 0:
        return "0"
    name, unit = next((u for u in units if figure >= u[1]), units[-1])
    unit = 24.0 if name == "days" else unit
    count = figure / unit
    return f"{count:.0f} {name}" if count >= 100 else f"{count:.2g} {name}"
