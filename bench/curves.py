"""Sweeps as curves: one metric against another, a line for each setting, published beside measured.

A drawing is data first, so that a file can say what it was drawn from.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from bench.api import Frozen
from bench.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from numpy.typing import NDArray

    from bench.papers import PublishedTable
    from bench.stats import Estimate

Interval = tuple[float, float] | None
Shown = Mapping[str, Mapping[str, "Estimate"]]
"""Label of a row to its run's metrics."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Of Okabe and Ito, which colour-blind people tell apart; markers and dashes differ besides."""
MARKERS = "os^D"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
NAME = (16.0, 9.0)
"""What the name of a point takes up, in points of type, with a marker's margin."""
SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1))
"""Where a name may stand, by preference: above to the right of its point, ..."""
STYLE: dict[str, Any] = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "bench"}


class Line(Frozen):
    """Rows of a table that one setting tells apart."""

    label: str
    """What they share, and after ``, by`` the setting."""
    rows: tuple[str, ...] = Field(min_length=2)
    """Labels, from one end of the setting to the other; a point is named by the last word."""

    @property
    def name(self) -> str:
        return self.label.partition(", by ")[0]

    @property
    def setting(self) -> str:
        """Empty where the label says none."""
        return self.label.partition(", by ")[2]


class Curve(Frozen):
    """Which metrics of a table are drawn against each other, and which rows make a line."""

    x: str
    y: str
    lines: tuple[Line, ...] = Field(min_length=1, max_length=len(COLOURS))

    def require(self, metrics: Iterable[str], labels: Iterable[str]) -> None:
        """ValueError for a metric or a row that is not among these."""
        for metric in {self.x, self.y} - set(metrics):
            raise ValueError(f"the curve is about no metric of the table: '{metric}'")
        for line in self.lines:
            for label in set(line.rows) - set(labels):
                raise ValueError(f"the line '{line.label}' names no row of the table: '{label}'")


class Point(Frozen):
    """Where a row lies, with its 95 % intervals."""

    label: str
    x: float
    y: float
    x_ci95: Interval = None
    y_ci95: Interval = None


class Sweep(Frozen):
    """Points that are joined. ``place`` is that of its line among the table's, and its colour."""

    label: str
    place: int
    points: tuple[Point, ...]


class Panel(Frozen):
    """One pair of axes."""

    title: str
    sweeps: tuple[Sweep, ...]


class Drawing(Frozen):
    """All that is drawn."""

    x: str
    y: str
    panels: tuple[Panel, ...]

    @property
    def mark(self) -> str:
        """What a file of this drawing says of it."""
        return f"drawn from {self.identity}"


def drawing(table: "PublishedTable", shown: Shown, where: str) -> Drawing | None:
    """What is printed of a table's sweeps, and beside it what was measured.

    ``where``: what the rows of ``shown`` were measured on. None for a table that is not drawn, and
    where there is nothing to draw. Panels without any point are left out.
    """
    if (curve := table.curve) is None:
        return None
    printed = dict(_printed(table, curve))
    measured = dict(_measured(shown, curve))
    told = {f"published: {table.key}": printed, f"measured here: {where}": measured}
    panels = [_panel(title, curve, points) for title, points in told.items() if points]
    x, y = (table.metrics[metric].head for metric in (curve.x, curve.y))
    return Drawing(x=x, y=y, panels=tuple(panels)) if panels else None


def _printed(table: "PublishedTable", curve: Curve) -> Iterator[tuple[str, Point]]:
    for row in table.rows:
        values = dict(zip(table.metrics, row.values, strict=bool(row.values)))
        x, y = values.get(curve.x), values.get(curve.y)
        if isinstance(x, float) and isinstance(y, float):
            yield row.label, Point(label=last_word(row.label), x=x, y=y)


def _measured(shown: Shown, curve: Curve) -> Iterator[tuple[str, Point]]:
    for label, metrics in shown.items():
        if curve.x in metrics and curve.y in metrics:
            x, y = metrics[curve.x], metrics[curve.y]
            ends = {"x_ci95": x.ci95, "y_ci95": y.ci95}
            yield label, Point(label=last_word(label), x=x.mean, y=y.mean, **ends)


def last_word(label: str) -> str:
    """What names a point of a sweep: ``2.0`` of ``CFG, λ=2.0``, ``8`` of ``CFG, rank 8``."""
    return re.split("[= ]", label)[-1]


def _panel(title: str, curve: Curve, points: Mapping[str, Point]) -> Panel:
    sweeps = [
        Sweep(label=line.label, place=place, points=found)
        for place, line in enumerate(curve.lines)
        if (found := tuple(points[label] for label in line.rows if label in points))
    ]
    return Panel(title=title, sweeps=tuple(sweeps))


def svg(told: Drawing) -> str:
    """The drawing as SVG; the same text for the same drawing by the same matplotlib."""
    from matplotlib import style

    buffer = StringIO()
    with style.context(STYLE, after_reset=True):
        metadata: dict[str, Any] = {"Date": None, "Description": told.mark}
        figure_of(told).savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()


def figure_of(told: Drawing) -> "Figure":
    """The drawing as a figure of matplotlib: panels side by side."""
    from matplotlib.figure import Figure

    count = len(told.panels)
    figure = Figure(figsize=(5.2 * count, 4.4), dpi=72, layout="constrained")
    panels = list(zip(figure.subplots(1, count, squeeze=False)[0], told.panels, strict=True))
    for axes, panel in panels:
        _draw(axes, panel)
        axes.set(title=panel.title, xlabel=told.x, ylabel=told.y)
    figure.draw_without_rendering()  # before it nothing has its place
    for axes, panel in panels:
        _name_points(axes, panel.sweeps)
    return figure


def _draw(axes: "Axes", panel: Panel) -> None:
    for sweep in panel.sweeps:
        _draw_sweep(axes, sweep)
    axes.margins(0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.legend(frameon=False)


def _draw_sweep(axes: "Axes", sweep: Sweep) -> None:
    points, colour = sweep.points, COLOURS[sweep.place]
    for point in points:
        if point.x_ci95 and point.y_ci95:
            axes.hlines(point.y, *point.x_ci95, color=colour, linewidth=0.6, alpha=0.4)
            axes.vlines(point.x, *point.y_ci95, color=colour, linewidth=0.6, alpha=0.4)
    axes.plot(
        [point.x for point in points],
        [point.y for point in points],
        color=colour,
        marker=MARKERS[sweep.place],
        linestyle=DASHES[sweep.place],
        markersize=4,
        linewidth=1.3,
        label=sweep.label,
    )


def _name_points(axes: "Axes", sweeps: Sequence[Sweep]) -> None:
    """Names stand where they cover nothing, those of a sweep's ends first; others are left out."""
    ends = [(sweep, point) for sweep in sweeps for point in (sweep.points[0], sweep.points[-1])]
    between = [(sweep, point) for sweep in sweeps for point in sweep.points[1:-1]]
    spots = axes.transData.transform(np.concatenate([_along(sweep) for sweep in sweeps]))
    taken: list[Bbox] = []
    for sweep, point in dict.fromkeys([*ends, *between]):
        at = point.x, point.y
        for side in SIDES:
            away, box = _beside(axes.transData.transform(at), side)
            if not box.count_contains(spots) and not box.count_overlaps(taken):
                taken.append(box)
                how: dict[str, Any] = {"color": COLOURS[sweep.place], "fontsize": 7.5}
                how |= {"ha": "center", "va": "center", "textcoords": "offset points"}
                axes.annotate(point.label, at, away, **how)
                break


def _along(sweep: Sweep) -> "NDArray[np.float64]":
    """Places (N, 2) all along a sweep's line."""
    corners = np.array([(point.x, point.y) for point in sweep.points])
    steps = np.linspace(0, len(corners) - 1, 20 * len(corners) - 19)
    return np.stack([np.interp(steps, range(len(corners)), axis) for axis in corners.T], axis=1)


def _beside(spot: Any, side: tuple[int, int]) -> tuple[tuple[float, float], "Bbox"]:
    """How far away the middle of a name stands on this side of a spot, and the room it takes."""
    from matplotlib.transforms import Bbox

    (x, y), (width, height) = spot, NAME
    away = side[0] * (width / 2 + 2), side[1] * (height / 2 + 2)
    corner = x + away[0] - width / 2, y + away[1] - height / 2
    return away, Bbox.from_bounds(*corner, width, height)


def write_curve(told: Drawing, path: Path) -> Path:
    """Write the drawing, unless the file there is of this very one."""
    if not is_of(path, told):
        write_atomically(path, svg(told))
    return path


def is_of(path: Path, told: Drawing) -> bool:
    """Whether the file is a drawing of this; what it looks like is matplotlib's."""
    return path.is_file() and told.mark in path.read_text(encoding="utf-8")
