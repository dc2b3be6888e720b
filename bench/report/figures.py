"""Figures for papers, as PDF and as SVG: what methods come to, how scores spread, sweeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.curves import COLOURS, STYLE, figure_of
from bench.report.sweeps import draw_sweeps
from bench.report.together import Together
from bench.results import Aggregate
from bench.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawn

BINS = 30
PLAIN: dict[str, Any] = {**STYLE, "pdf.fonttype": 42, "text.parse_math": False}
"""Fonts that printers take, and text as it is written: dollar signs begin no formula."""
UNDATED: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Figure:
    """A figure in its two files, ``NAME.pdf`` and ``NAME.svg``."""

    title: str
    name: str


def write_figures(shown: Together, folder: Path) -> list[Figure]:
    """Write every figure twice; the same runs give the same files by the same matplotlib."""
    from matplotlib import style

    written = []
    with style.context(PLAIN, after_reset=True):
        for title, name, figure in _figures(shown):
            for kind, metadata in UNDATED.items():
                buffer = BytesIO()
                figure.savefig(buffer, format=kind, metadata=metadata)
                write_atomically(folder / f"{name}.{kind}", buffer.getvalue())
            written.append(Figure(title, name))
    return written


def _figures(shown: Together) -> Iterator[tuple[str, str, "Drawn"]]:
    for number, (setting, drawing) in enumerate(draw_sweeps(shown).items(), start=1):
        yield f"Sweep of {setting}", f"sweep-{number}", figure_of(drawing)
    yield "Means and 95 % intervals over subjects", "means", _means(shown)
    for metric in shown.per_image:
        yield f"Scores in {metric}", f"histogram-{_stem(metric)}", _histograms(shown, metric)


def _stem(metric: str) -> str:
    """Metrics may be called ``dino:ENCODER`` or ``dino/REGION``."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in metric)


def _means(shown: Together) -> "Drawn":
    from matplotlib.figure import Figure as Drawn

    count, height = len(shown.metrics), 0.9 + 0.26 * len(shown.entries)
    figure = Drawn(figsize=(1.6 + 2.4 * count, height), layout="constrained")
    axes = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    for one, name in zip(axes, shown.metrics, strict=True):
        for row, entry in enumerate(shown.entries):
            _bar(one, row, entry.result.metrics[name])
        one.set_title(shown.head(name))
        _clean(one)
    axes[0].set_yticks(range(len(shown.entries)), [entry.label for entry in shown.entries])
    axes[0].invert_yaxis()
    return figure


def _bar(axes: "Axes", row: int, told: Aggregate) -> None:
    if told.ci95:
        axes.hlines(row, *told.ci95, color=COLOURS[0], linewidth=1.5)
    axes.plot(told.mean, row, "o", color=COLOURS[0], markersize=4)


def _histograms(shown: Together, metric: str) -> "Drawn":
    """One under the other on the same bins, so that shapes and places compare."""
    from matplotlib.figure import Figure as Drawn

    values = [np.array([*entry.values[metric].values()]) for entry in shown.entries]
    bins = np.histogram_bin_edges(np.concatenate(values), bins=BINS)
    count = len(values)
    figure = Drawn(figsize=(5.2, 0.7 + 0.75 * count), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for one, entry, numbers in zip(axes, shown.entries, values, strict=True):
        one.hist(numbers, bins=bins, color=COLOURS[0], alpha=0.75)
        one.axvline(numbers.mean(), color=COLOURS[1], linewidth=1.2)
        one.set_title(entry.label, fontsize=8, loc="left", pad=2)
        _clean(one)
    axes[-1].set_xlabel(shown.head(metric))
    return figure


def _clean(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25, linewidth=0.5)
