"""Sweeps along their setting: a chart for each metric, of what is published or what was measured.

The two never share axes. Pixels throughout, y downwards as SVG has it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2

from bench.curves import Interval, Line, Point, last_word
from bench.outcomes import Outcome
from bench.papers import PublishedTable
from bench.site.plots import Scale, scale_of

WIDTH, HEIGHT = 350.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 336.0, 12.0, 190.0
"""The axes' edges."""
APART = 24.0
"""Least distance of two numbers under an axis."""
DOUBLINGS = 4.0
"""Values that grow so many times over stand by their logarithms."""

Values = Mapping[str, Mapping[str, tuple[float, Interval]]]
"""Label of a row to each metric's number, with its interval where it has one."""
Drawn = tuple[int, Line, list[Point]]
"""A line with its place among the table's; a point's x is the setting."""


@dataclass(frozen=True)
class Dot:
    """A row, with the ends of its interval."""

    about: str
    x: float
    y: float
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class Strand:
    """Rows that are joined. ``place`` is that of their line among the table's, and its look."""

    place: int
    name: str
    dots: list[Dot]

    @property
    def path(self) -> str:
        return "M" + "L".join(f"{dot.x} {dot.y}" for dot in self.dots)


@dataclass(frozen=True)
class Chart:
    """A metric along a setting."""

    title: str
    x: Scale
    y: Scale
    ticks: list[tuple[float, str]]
    """Of the setting: its values and their places, as far as there is room."""
    strands: list[Strand]
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True)
class Side:
    """All charts of one source along one setting."""

    kind: str
    """``published`` or ``measured``."""
    where: str
    setting: str
    charts: list[Chart]

    @property
    def names(self) -> list[tuple[int, str]]:
        """Places and names of the lines."""
        told = {strand.place: strand.name for chart in self.charts for strand in chart.strands}
        return sorted(told.items())


def sides(table: PublishedTable, outcomes: Iterable[Outcome]) -> list[Side]:
    """What a table prints of its sweeps, and after it what outcomes of it measured.

    Empty for a table without sweeps, or of which there are no numbers.
    """
    shown = list(_sides(table, "published", table.key, _published(table)))
    for outcome in outcomes:
        shown += _sides(table, "measured", outcome.where, _measured(outcome))
    return shown


def _published(table: PublishedTable) -> Values:
    return {
        row.label: {
            metric: (value, None)
            for metric, value in zip(table.metrics, row.values, strict=bool(row.values))
            if isinstance(value, float)
        }
        for row in table.rows
        if row.values
    }


def _measured(outcome: Outcome) -> Values:
    return {
        label: {metric: (told.mean, told.ci95) for metric, told in metrics.items()}
        for label, metrics in outcome.shown.items()
    }


def _sides(table: PublishedTable, kind: str, where: str, values: Values) -> Iterator[Side]:
    lines = list(enumerate(table.curve.lines)) if table.curve else []
    for setting in dict.fromkeys(line.setting for _, line in lines if line.setting):
        swept = [(place, line) for place, line in lines if line.setting == setting]
        charts = []
        for name, metric in table.metrics.items():
            drawn = [(place, line, _points(line, name, values)) for place, line in swept]
            if joined := [one for one in drawn if len(one[2]) > 1]:
                charts.append(_chart(metric.head, joined))
        if charts:
            yield Side(kind, where, setting, charts)


def _points(line: Line, metric: str, values: Values) -> list[Point]:
    """The rows of a line that have a number, and say one of the setting."""
    points = []
    for label in line.rows:
        told, at = values.get(label, {}).get(metric), _number(last_word(label))
        if told and at is not None:
            points.append(Point(label=last_word(label), x=at, y=told[0], y_ci95=told[1]))
    return points


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _chart(title: str, lines: Sequence[Drawn]) -> Chart:
    points = [point for _, _, found in lines for point in found]
    unit = _unit([point.x for point in points])
    x = scale_of([unit(point.x) for point in points], LEFT, RIGHT)
    y = scale_of([end for point in points for end in point.y_ci95 or (point.y,)], BOTTOM, TOP)
    named = {x(unit(point.x)): point.label for point in points}
    strands = [
        Strand(place, line.name, [_dot(line, point, x(unit(point.x)), y) for point in found])
        for place, line, found in lines
    ]
    return Chart(title, x, y, _apart(sorted(named.items())), strands)


def _unit(values: Sequence[float]) -> Callable[[float], float]:
    low, high = min(values), max(values)
    return log2 if low > 0 and high >= DOUBLINGS * low else float


def _dot(line: Line, point: Point, x: float, y: Scale) -> Dot:
    low_high = point.y_ci95
    interval = f" [{low_high[0]:.4f}, {low_high[1]:.4f}]" if low_high else ""
    about = f"{line.name}, {line.setting} {point.label}: {point.y:.4f}{interval}"
    return Dot(about, x, y(point.y), (y(low_high[0]), y(low_high[1])) if low_high else None)


def _apart(ticks: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    kept: list[tuple[float, str]] = []
    for place, text in ticks:
        if not kept or place - kept[-1][0] >= APART:
            kept.append((place, text))
    return kept
