"""The mini world: procedural subjects with an identity that no prompt names, and their scenes.

Everything follows from a seed. Images are ``uint8`` arrays of shape (32, 32, 3), RGB.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.mini.grammar import CLASSES, COLOURS, Scene, pick
from bench.mini.shapes import EMBLEM_RADIUS, EMBLEMS, OTHERS, SILHOUETTES, Array, Shape

SIZE = 32
SUPERSAMPLING = 3
DIFFICULTY = 0.5
"""How much poses vary in the world; 1 moves the subject by up to 2.5 pixels and tilts it by 9
degrees."""
Image = NDArray[np.uint8]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.15, 0.15),
    "orange": (0.95, 0.55, 0.10),
    "yellow": (0.95, 0.85, 0.20),
    "green": (0.20, 0.65, 0.25),
    "teal": (0.10, 0.65, 0.65),
    "blue": (0.15, 0.30, 0.85),
    "purple": (0.55, 0.25, 0.75),
    "pink": (0.95, 0.55, 0.75),
    "brown": (0.50, 0.30, 0.15),
    "cream": (0.95, 0.90, 0.75),
}
PATTERNS = ("stripes", "dots", "checks", "band")
DARK, LIGHT, WHITE = (0.12, 0.12, 0.14), (0.80, 0.90, 0.95), (1.0, 1.0, 1.0)
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Identity:
    """What makes a subject this one: none of it is ever said in a prompt but the class.

    Colours are RGB in [0, 1]; ``period`` is in subject units (the subject fills [-1, 1]);
    ``angle`` is in radians.
    """

    kind: str
    body: RGB
    second: RGB
    pattern: str
    period: float
    angle: float
    emblem: str
    emblem_colour: RGB


@dataclass(frozen=True)
class Pose:
    """Where and how large the subject stands: centre and half size in pixels, tilt in radians."""

    x: float
    y: float
    half: float
    tilt: float


REFERENCE_POSE = Pose(16.0, 16.0, 12.5, 0.0)


def generator(seed: int, *path: int) -> np.random.Generator:
    """The random stream of one thing in the world, independent of every other."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *path])))


def sample_identity(seed: int, split: Split, index: int) -> Identity:
    """Subject ``index`` of a split; classes take turns, everything else is drawn."""
    rng = generator(seed, 1, SPLITS.index(split), index)
    names = tuple(PALETTE)
    body = pick(rng, names)
    second = pick(rng, tuple(name for name in names if _contrast(name, body) > 0.5))
    return Identity(
        kind=CLASSES[index % len(CLASSES)],
        body=_jitter(rng, PALETTE[body]),
        second=_jitter(rng, PALETTE[second]),
        pattern=pick(rng, PATTERNS),
        period=0.5 + 0.35 * rng.random(),
        angle=math.pi * rng.random(),
        emblem=pick(rng, tuple(EMBLEMS)),
        emblem_colour=PALETTE[pick(rng, ("red", "green", "blue", "purple", "brown"))],
    )


def _contrast(one: str, other: str) -> float:
    return math.dist(PALETTE[one], PALETTE[other])


def _jitter(rng: np.random.Generator, colour: RGB) -> RGB:
    r, g, b = (min(1.0, max(0.0, c + 0.12 * (rng.random() - 0.5))) for c in colour)
    return r, g, b


def sample_pose(
    rng: np.random.Generator, scene: Scene | None, difficulty: float = DIFFICULTY
) -> Pose:
    """A pose for a scene; ``difficulty`` 0 keeps size and tilt, and moves by whole tokens only."""
    centre = scene_pose(scene)
    dx, dy, size, tilt = (2 * rng.random() - 1 for _ in range(4))
    if difficulty == 0.0:
        return Pose(16.0 + 4.0 * np.sign(centre.x - 16.0), 20.0, 12.5 * 0.84, 0.0)
    return Pose(
        centre.x + 2.5 * difficulty * dx,
        centre.y + 1.5 * difficulty * dy,
        centre.half + 1.2 * difficulty * size,
        0.16 * difficulty * tilt,
    )


def scene_pose(scene: Scene | None) -> Pose:
    """The pose in the middle of a scene's poses: beside the second object, if there is one."""
    x = {"left": 19.0, "right": 13.0}.get((scene.side if scene else None) or "", 16.0)
    return Pose(x, 19.5, 10.5, 0.0)


def render_reference(identity: Identity, pose: Pose = REFERENCE_POSE) -> Image:
    """The subject alone on white."""
    canvas = _fill(WHITE)
    _paint_subject(canvas, identity, pose)
    return _to_image(canvas)


def render_scene(identity: Identity, scene: Scene, pose: Pose) -> Image:
    """The subject in a scene, as the scene's prompt says it."""
    if scene.recolour:
        identity = replace(identity, body=PALETTE[scene.recolour])
    canvas = _setting(scene)
    _paint_subject(canvas, identity, pose, scene.time)
    return _to_image(canvas)


def render_setting(scene: Scene) -> Image:
    """A scene without its subject."""
    return _to_image(_setting(scene))


TINTS: dict[str, RGB] = {
    "day": (1.0, 1.0, 1.0),
    "sunset": (1.0, 0.72, 0.5),
    "night": (0.3, 0.33, 0.5),
}


def _tinted(colour: RGB, time: str) -> RGB:
    """Lit things keep most of their colour: identity stays visible at night."""
    r, g, b = (c * (0.65 + 0.35 * t) for c, t in zip(colour, TINTS[time], strict=True))
    return r, g, b


def _grid() -> tuple[Array, Array]:
    axis = (np.arange(SIZE * SUPERSAMPLING) + 0.5) / SUPERSAMPLING
    x, y = np.meshgrid(axis, axis)
    return x, y


GRID = _grid()


def _fill(colour: RGB) -> Array:
    side = SIZE * SUPERSAMPLING
    canvas: Array = np.broadcast_to(np.array(colour), (side, side, 3)).copy()
    return canvas


def _to_image(canvas: Array) -> Image:
    blocks = canvas.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3))
    image: Image = np.rint(np.clip(blocks, 0, 1) * 255).astype(np.uint8)
    return image


def _local(pose: Pose) -> tuple[Array, Array]:
    x, y = (GRID[0] - pose.x) / pose.half, (GRID[1] - pose.y) / pose.half
    cos, sin = math.cos(pose.tilt), math.sin(pose.tilt)
    return cos * x + sin * y, cos * y - sin * x


def _paint(canvas: Array, shape: Shape, pose: Pose, colour: RGB) -> None:
    canvas[shape(*_local(pose)) < 0] = colour


def _paint_subject(canvas: Array, identity: Identity, pose: Pose, time: str = "day") -> None:
    silhouette = SILHOUETTES[identity.kind]
    x, y = _local(pose)
    body = silhouette.body(x, y)
    canvas[body < 0.06] = _tinted(DARK, time)
    inside = body < -0.02
    canvas[inside] = _tinted(identity.body, time)
    canvas[inside & _pattern(identity, x, y)] = _tinted(identity.second, time)
    for part, colour in ((silhouette.dark, DARK), (silhouette.light, LIGHT)):
        if part:
            canvas[part(x, y) < 0] = _tinted(colour, time)
    ex, ey = x - silhouette.emblem_at[0], y - silhouette.emblem_at[1]
    canvas[np.sqrt(ex**2 + ey**2) < EMBLEM_RADIUS] = _tinted(WHITE, time)
    canvas[EMBLEMS[identity.emblem](ex, ey) < 0] = _tinted(identity.emblem_colour, time)


def _pattern(identity: Identity, x: Array, y: Array) -> NDArray[np.bool_]:
    """Where the second colour shows."""
    cos, sin = math.cos(identity.angle), math.sin(identity.angle)
    u, v = (cos * x + sin * y) / identity.period, (cos * y - sin * x) / identity.period
    fu, fv = u - np.floor(u), v - np.floor(v)
    if identity.pattern == "stripes":
        return fu < 0.5
    if identity.pattern == "dots":
        return (fu - 0.5) ** 2 + (fv - 0.5) ** 2 < 0.33**2
    if identity.pattern == "checks":
        return (fu < 0.5) ^ (fv < 0.5)
    return u > 0


def _setting(scene: Scene) -> Array:
    canvas: Array = _background(scene.place) * np.array(TINTS[scene.time])
    if scene.other and scene.other_colour:
        x = 27.0 if scene.side == "right" else 5.0
        shape, colour = OTHERS[scene.other], PALETTE[scene.other_colour]
        _paint(canvas, shape, Pose(x, 25.0, 4.2, 0.0), _tinted(colour, scene.time))
    return canvas


@cache
def _background(place: str) -> Array:
    sky, ground = BACKDROPS[place]
    canvas = _fill(sky)
    canvas[GRID[1] > 20] = ground
    for shape, colour in DECORATIONS.get(place, ()):
        canvas[shape(*GRID) < 0] = colour
    return canvas


BACKDROPS: dict[str, tuple[RGB, RGB]] = {
    "grass": ((0.60, 0.82, 0.98), (0.45, 0.75, 0.30)),
    "sand": ((0.65, 0.88, 0.98), (0.93, 0.84, 0.58)),
    "snow": ((0.80, 0.86, 0.92), (0.97, 0.98, 1.00)),
    "street": ((0.72, 0.74, 0.78), (0.42, 0.42, 0.45)),
    "room": ((0.88, 0.78, 0.66), (0.60, 0.40, 0.25)),
    "forest": ((0.55, 0.75, 0.60), (0.30, 0.42, 0.20)),
    "stage": ((0.55, 0.12, 0.18), (0.78, 0.62, 0.40)),
    "sea": ((0.70, 0.90, 1.00), (0.15, 0.45, 0.75)),
}


def _drawn(*items: tuple[Shape, RGB]) -> tuple[tuple[Shape, RGB], ...]:
    return items


def _decorations() -> dict[str, tuple[tuple[Shape, RGB], ...]]:
    from bench.mini.shapes import box, circle, triangle, union

    trees = union(*(triangle(c, 2.0, c + 5, 20, c - 5, 20) for c in (2.0, 11.0, 21.0, 30.0)))
    return {
        "grass": _drawn((circle(27, 5, 3.2), (1.0, 0.9, 0.3))),
        "sand": _drawn((box(16, 18.5, 16, 1.5), (0.2, 0.55, 0.85))),
        "snow": _drawn((triangle(7, 6, 17, 20, -3, 20), (0.6, 0.68, 0.78))),
        "street": _drawn(
            (union(box(4, 12, 4, 8), box(27, 10, 5, 10)), (0.55, 0.45, 0.42)),
            (union(box(6, 27, 4, 0.8), box(26, 27, 4, 0.8)), (0.95, 0.92, 0.6)),
        ),
        "room": _drawn((box(7, 7, 5, 4.5), (0.65, 0.85, 0.98)), (box(7, 7, 0.5, 4.5), WHITE)),
        "forest": _drawn((trees, (0.13, 0.38, 0.2))),
        "stage": _drawn((union(*(box(c, 10, 1, 10) for c in (3, 11, 21, 29))), (0.7, 0.2, 0.25))),
        "sea": _drawn((union(box(6, 24, 4, 0.7), box(24, 28, 5, 0.7)), (0.75, 0.9, 1.0))),
    }


DECORATIONS = _decorations()
assert set(COLOURS) <= set(PALETTE)
