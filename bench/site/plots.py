"""Where things lie in a drawing: intervals in a cell, and one metric against another.

Pixels throughout, y downwards as SVG has it; the templates draw what is placed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from bench.names import row_names
from bench.results import Aggregate, RunResult
from bench.standings import Section, tells_likeness

CELL = 72.0
"""Width of an interval in a cell."""
TOP, LEFT, RIGHT, BOTTOM = 14.0, 56.0, 300.0, 40.0
"""The axes' edges, and the room under them; what a phone shows ends with them and a number."""
LEAST, GAP = 260.0, 15.0
"""Least height of the axes, and from one name to the next."""
LETTER = 5.7
"""Width of a letter of a name."""


@dataclass(frozen=True)
class Scale:
    """A line of numbers from ``low`` to ``high``, laid on pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Three to seven round numbers with their places."""
        raw = (self.high - self.low) / 4
        power = 10 ** floor(log10(raw))
        step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * 0.7)
        digits = max(0, -floor(log10(step)))
        numbers = range(ceil(self.low / step), floor(self.high / step) + 1)
        return [(self(n * step), f"{n * step:.{digits}f}") for n in numbers]


@dataclass(frozen=True)
class Bar:
    """An interval and its middle, in a cell."""

    left: float
    middle: float
    right: float
    outside: bool = False
    """Whether it lies beyond the end of the scale that ``middle`` is."""


@dataclass(frozen=True)
class Mark:
    """A method: its place, the ends of its intervals, and where its name stands."""

    label: str
    about: str
    x: float
    y: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]
    best: bool
    """Whether no other is better in both."""
    name_y: float


@dataclass(frozen=True)
class Rule:
    """An anchor's level."""

    label: str
    y: float
    name_y: float


@dataclass(frozen=True)
class Tradeoff:
    """Subject fidelity against text alignment."""

    title: str
    width: float
    height: float
    x: Scale
    y: Scale
    x_label: str
    y_label: str
    marks: list[Mark]
    rules: list[Rule]


def bar(told: Aggregate, scale: Scale) -> Bar:
    """A number's interval; the number alone where it has none or lies outside the scale."""
    if told.mean < scale.low or told.mean > scale.high:
        end = scale(max(scale.low, min(told.mean, scale.high)))
        return Bar(end, end, end, outside=True)
    low, high = _ends(told)
    return Bar(scale(max(low, scale.low)), scale(told.mean), scale(min(high, scale.high)))


def cell_scale(numbers: Iterable[Aggregate]) -> Scale:
    """One scale for all cells of a column."""
    return scale_of([end for told in numbers for end in _ends(told)], 4, CELL - 4)


def tradeoffs(section: Section) -> list[Tradeoff]:
    """The section's full runs with the anchors' levels, and the methods alone, closer.

    Nothing where no metric holds images against photographs, or none against their prompt.
    """
    methods = [result for _, result in section.ranked]
    axes = _axes(section.example.metrics)
    if not methods or axes is None:
        return []
    whole = _tradeoff("With the anchors' subject fidelity as lines", methods, section.anchors, axes)
    close = _tradeoff("Methods alone", methods, [], axes)
    return [whole, close] if section.anchors else [close]


def _axes(metrics: Mapping[str, Aggregate]) -> tuple[str, str] | None:
    """The first metric that reads the prompt, and the first of likeness to the photographs."""
    text = (name for name, told in metrics.items() if told.references == "none" and told.encoder)
    likeness = (name for name, told in metrics.items() if tells_likeness(told))
    x, y = next(text, None), next(likeness, None)
    return (x, y) if x is not None and y is not None else None


def _tradeoff(
    title: str, methods: Sequence[RunResult], anchors: Sequence[RunResult], axes: tuple[str, str]
) -> Tradeoff:
    x_name, y_name = axes
    rows = [(run.metrics[x_name], run.metrics[y_name]) for run in methods]
    levels = [anchor.metrics[y_name].mean for anchor in anchors]
    bottom = TOP + max(LEAST, GAP * (len(methods) + len(anchors)))
    x = scale_of([end for told, _ in rows for end in _ends(told)], LEFT, RIGHT)
    y = scale_of([end for _, told in rows for end in _ends(told)] + levels, bottom, TOP)
    wanted = [y(told.mean) for _, told in rows] + [y(level) for level in levels]
    names = spread(wanted, GAP, TOP, bottom)
    marks = [
        _mark(label, told, (x, y), _best(told, rows), place)
        for label, told, place in zip(_labels(methods), rows, names, strict=False)
    ]
    rules = [
        Rule(f"{anchor.method} {level:.3f}", y(level), place)
        for anchor, level, place in zip(anchors, levels, names[len(rows) :], strict=True)
    ]
    x_label, y_label = (_labelled(name, methods[0].metrics[name]) for name in axes)
    labels = [mark.label for mark in marks] + [rule.label for rule in rules]
    width = RIGHT + 20 + LETTER * max(map(len, labels))
    return Tradeoff(title, width, bottom + BOTTOM, x, y, x_label, y_label, marks, rules)


def _mark(
    label: str,
    told: tuple[Aggregate, Aggregate],
    scales: tuple[Scale, Scale],
    best: bool,
    name_y: float,
) -> Mark:
    (one, other), (x, y) = told, scales
    about = f"{label}: {one.mean:.3f}, {other.mean:.3f}"
    ends = _placed(one, x), _placed(other, y)
    return Mark(label, about, x(one.mean), y(other.mean), *ends, best, name_y)


def _labels(methods: Sequence[RunResult]) -> list[str]:
    """Rows' names, with their backbones where these differ."""
    names = row_names(methods)
    if len({run.backbone for run in methods}) == 1:
        return names
    return [f"{name}, {run.backbone}" for name, run in zip(names, methods, strict=True)]


def _placed(told: Aggregate, scale: Scale) -> tuple[float, float]:
    low, high = _ends(told)
    return scale(low), scale(high)


def _best(told: tuple[Aggregate, ...], rows: Sequence[tuple[Aggregate, ...]]) -> bool:
    """Whether no row is as good in every metric and better in one."""
    own = _goodness(told)
    others = map(_goodness, rows)
    return not any(
        all(a >= b for a, b in zip(other, own, strict=True)) and other != own for other in others
    )


def _goodness(told: Iterable[Aggregate]) -> list[float]:
    return [one.mean if one.higher_is_better else -one.mean for one in told]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least ``gap`` apart in the order of those wanted and near them, none above ``low``.

    None lies below ``high`` either, as long as there is room.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    before = low - gap
    for i in order:
        before = places[i] = max(wanted[i], before + gap)
    after = high + gap
    for i in reversed(order):
        after = places[i] = min(places[i], after - gap)
    return [round(place, 1) for place in places]


def _ends(told: Aggregate) -> tuple[float, float]:
    return told.ci95 or (told.mean, told.mean)


def scale_of(values: Sequence[float], start: float, stop: float) -> Scale:
    """A scale that holds all values with a margin; never an empty one."""
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return Scale(low - margin, high + margin, start, stop)


def _labelled(name: str, told: Aggregate) -> str:
    return f"{name} {'↑' if told.higher_is_better else '↓'}"
