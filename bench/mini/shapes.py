"""Silhouettes of the mini world's classes and emblems as signed distances.

Every shape maps arrays ``x`` (right) and ``y`` (down), in units where the subject fills [-1, 1], to
a distance that is negative inside. Only +, -, *, / and square roots are used on arrays, so that
the drawing is the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = Callable[[Array, Array], Array]


def circle(cx: float, cy: float, r: float) -> Shape:
    return lambda x, y: np.sqrt((x - cx) ** 2 + (y - cy) ** 2) - r


def ellipse(cx: float, cy: float, rx: float, ry: float) -> Shape:
    scale = min(rx, ry)
    return lambda x, y: (np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) - 1) * scale


def box(cx: float, cy: float, hx: float, hy: float) -> Shape:
    return lambda x, y: np.maximum(np.abs(x - cx) - hx, np.abs(y - cy) - hy)


def ring(cx: float, cy: float, r: float, width: float) -> Shape:
    return lambda x, y: np.abs(np.sqrt((x - cx) ** 2 + (y - cy) ** 2) - r) - width


def triangle(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> Shape:
    """The triangle of three corners, given clockwise as seen on the screen."""
    edges = [(ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay)]

    def distance(x: Array, y: Array) -> Array:
        sides = [
            ((x - px) * (qy - py) - (y - py) * (qx - px)) / float(np.hypot(qx - px, qy - py))
            for px, py, qx, qy in edges
        ]
        inside: Array = np.maximum.reduce(sides)
        return inside

    return distance


def union(*shapes: Shape) -> Shape:
    return lambda x, y: np.minimum.reduce([shape(x, y) for shape in shapes])


@dataclass(frozen=True)
class Silhouette:
    """A class: the body carries colours and pattern; dark and light parts are the same for all."""

    body: Shape
    emblem_at: tuple[float, float]
    dark: Shape | None = None
    light: Shape | None = None


SILHOUETTES: dict[str, Silhouette] = {
    "mug": Silhouette(
        union(box(-0.2, 0.05, 0.62, 0.85), ring(0.5, 0.0, 0.34, 0.12)),
        (-0.2, 0.15),
        dark=ellipse(-0.2, -0.78, 0.5, 0.1),
    ),
    "car": Silhouette(
        union(box(0.0, 0.2, 0.98, 0.38), box(-0.05, -0.35, 0.55, 0.4)),
        (0.0, 0.12),
        dark=union(circle(-0.58, 0.62, 0.27), circle(0.58, 0.62, 0.27)),
        light=union(box(-0.32, -0.42, 0.19, 0.18), box(0.22, -0.42, 0.19, 0.18)),
    ),
    "bird": Silhouette(
        union(
            ellipse(-0.1, 0.2, 0.72, 0.55),
            circle(0.48, -0.42, 0.36),
            triangle(-0.6, 0.3, -1.0, -0.35, -0.3, -0.1),
        ),
        (-0.12, 0.25),
        dark=union(
            triangle(0.8, -0.55, 1.0, -0.38, 0.78, -0.25),
            circle(0.55, -0.48, 0.1),
            box(-0.25, 0.85, 0.06, 0.15),
            box(0.1, 0.85, 0.06, 0.15),
        ),
    ),
    "robot": Silhouette(
        union(
            box(0.0, -0.62, 0.42, 0.3),
            box(0.0, 0.2, 0.6, 0.5),
            box(-0.33, 0.85, 0.18, 0.15),
            box(0.33, 0.85, 0.18, 0.15),
            box(-0.8, 0.15, 0.12, 0.38),
            box(0.8, 0.15, 0.12, 0.38),
        ),
        (0.0, 0.2),
        dark=union(
            box(0.0, -0.95, 0.05, 0.08), circle(-0.18, -0.62, 0.1), circle(0.18, -0.62, 0.1)
        ),
    ),
    "boot": Silhouette(
        union(box(-0.25, -0.25, 0.48, 0.75), box(0.1, 0.55, 0.83, 0.3), circle(0.65, 0.5, 0.33)),
        (-0.22, -0.1),
        dark=box(0.1, 0.9, 0.88, 0.1),
        light=box(-0.25, -0.9, 0.52, 0.1),
    ),
    "vase": Silhouette(
        union(circle(0.0, 0.3, 0.66), box(0.0, -0.5, 0.25, 0.4), box(0.0, 0.88, 0.4, 0.12)),
        (0.0, 0.3),
        dark=box(0.0, -0.92, 0.42, 0.08),
    ),
    "bear": Silhouette(
        union(
            ellipse(0.0, 0.42, 0.62, 0.58),
            circle(0.0, -0.4, 0.46),
            circle(-0.4, -0.76, 0.22),
            circle(0.4, -0.76, 0.22),
            circle(-0.62, 0.3, 0.22),
            circle(0.62, 0.3, 0.22),
        ),
        (0.0, 0.45),
        dark=union(circle(-0.18, -0.48, 0.09), circle(0.18, -0.48, 0.09), circle(0.0, -0.25, 0.11)),
    ),
    "fish": Silhouette(
        union(
            ellipse(0.2, 0.0, 0.78, 0.58),
            triangle(-0.4, 0.0, -1.0, 0.55, -1.0, -0.55),
            triangle(0.0, -0.4, -0.1, -0.85, 0.5, -0.45),
        ),
        (0.05, 0.05),
        dark=circle(0.68, -0.12, 0.1),
    ),
}

EMBLEM_RADIUS = 0.42
EMBLEMS: dict[str, Shape] = {
    "disc": circle(0.0, 0.0, 0.24),
    "triangle": triangle(0.0, -0.32, 0.3, 0.22, -0.3, 0.22),
    "cross": union(box(0.0, 0.0, 0.09, 0.32), box(0.0, 0.0, 0.32, 0.09)),
    "bars": union(box(-0.17, 0.0, 0.09, 0.26), box(0.17, 0.0, 0.09, 0.26)),
}

OTHERS: dict[str, Shape] = {
    "ball": circle(0.0, 0.2, 0.78),
    "box": box(0.0, 0.15, 0.8, 0.8),
    "cone": triangle(0.0, -1.0, 0.8, 0.95, -0.8, 0.95),
    "tree": union(circle(0.0, -0.75, 0.8), box(0.0, 0.4, 0.2, 0.6)),
    "lamp": union(box(0.0, 0.0, 0.12, 1.0), circle(0.0, -1.1, 0.42)),
    "flag": union(box(-0.6, -0.3, 0.1, 1.3), box(0.05, -1.1, 0.65, 0.45)),
}
