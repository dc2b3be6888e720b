"""Sweeps among runs: those that differ in one numeric option, or one number of their guidance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from bench.curves import COLOURS, Drawing, Panel, Point, Sweep
from bench.identity import identity
from bench.names import RULE, names, settings
from bench.report.together import Entry, Together, head
from bench.results import Aggregate

NO_SETTING = frozenset({"seed", "revision"})
"""Numbers that are no setting: to change them is to repeat a run."""


@dataclass(frozen=True)
class Found:
    """Runs from the lowest to the highest value of one setting; all else is equal."""

    setting: str
    rest: Mapping[str, JsonValue]
    runs: tuple[tuple[float, Entry], ...]


def find_sweeps(entries: Sequence[Entry]) -> list[Found]:
    """Every setting that takes at least two values while all others stay as they are."""
    groups: dict[tuple[str, str], dict[float, Entry]] = {}
    rests: dict[tuple[str, str], dict[str, JsonValue]] = {}
    for entry in entries:
        chosen = _chosen(entry)
        for setting, value in chosen.items():
            if _is_setting(setting, value):
                rest = {key: v for key, v in chosen.items() if key != setting}
                key = setting, identity(rest)
                groups.setdefault(key, {})[float(str(value))] = entry
                rests[key] = rest
    return [
        Found(key[0], rests[key], tuple(sorted(runs.items(), key=lambda pair: pair[0])))
        for key, runs in groups.items()
        if len(runs) > 1
    ]


def draw_sweeps(shown: Together) -> dict[str, Drawing]:
    """The trade-off of likeness and prompt along every setting, by the setting's name.

    Empty where the runs share no metric of the one or of the other.
    """
    axes = _axes(shown.metrics)
    settings_of: dict[str, list[Found]] = {}
    for found in find_sweeps(shown.entries):
        settings_of.setdefault(found.setting, []).append(found)
    if axes is None:
        return {}
    return {setting: _drawing(setting, one, axes) for setting, one in settings_of.items()}


def _chosen(entry: Entry) -> dict[str, JsonValue]:
    """Settings, with the numbers of a guidance beside its name: ``pg:omega=0.5`` has two parts."""
    chosen = settings(entry.result)
    name, _, told = str(chosen.get(RULE, "")).partition(":")
    if told:
        chosen[RULE] = name
        for pair in told.split(","):
            key, _, value = pair.rpartition("=")
            chosen[f"{name} {key}".strip()] = _number(value)
    return chosen


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _is_setting(name: str, value: JsonValue) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and name not in NO_SETTING


def _axes(metrics: Mapping[str, Aggregate]) -> tuple[str, str] | None:
    """The first metric of the prompt, and the first of likeness to photographs."""
    of_text = [name for name, told in metrics.items() if told.references == "none"]
    of_likeness = [
        name for name, told in metrics.items() if told.references not in ("none", "siblings")
    ]
    return (of_text[0], of_likeness[0]) if of_text and of_likeness else None


def _drawing(setting: str, found: Sequence[Found], axes: tuple[str, str]) -> Drawing:
    labels = names([one.rest for one in found])
    lines, most = list(zip(labels, found, strict=True)), len(COLOURS)
    panels = (
        Panel(title=f"along {setting}", sweeps=tuple(_sweeps(lines[at : at + most], axes)))
        for at in range(0, len(lines), most)
    )
    told = found[0].runs[0][1].result.metrics
    x, y = (head(name, told[name]) for name in axes)
    return Drawing(x=x, y=y, panels=tuple(panels))


def _sweeps(lines: Sequence[tuple[str, Found]], axes: tuple[str, str]) -> Iterator[Sweep]:
    for place, (label, found) in enumerate(lines):
        points = (_point(value, entry, axes) for value, entry in found.runs)
        yield Sweep(label=label, place=place, points=tuple(points))


def _point(value: float, entry: Entry, axes: tuple[str, str]) -> Point:
    x, y = (entry.result.metrics[name] for name in axes)
    ends: dict[str, Any] = {"x_ci95": x.ci95, "y_ci95": y.ci95}
    return Point(label=f"{value:g}", x=x.mean, y=y.mean, **ends)
