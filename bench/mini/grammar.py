"""The prompt grammar of the mini world: what a scene is and how it is said."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

CLASSES = ("mug", "car", "bird", "robot", "boot", "vase", "bear", "fish")
PLACES = {
    "grass": "on grass",
    "sand": "on sand",
    "snow": "in snow",
    "street": "on a street",
    "room": "in a room",
    "forest": "in a forest",
    "stage": "on a stage",
    "sea": "at sea",
}
TIMES = {"day": "by day", "sunset": "at sunset", "night": "at night"}
OBJECTS = ("ball", "box", "cone", "tree", "lamp", "flag")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
SIDES = ("left", "right")

VOCABULARY = tuple(
    sorted(
        {"a", "photo", "of", "with", "on", "in", "at", "by", "the"}
        | set(CLASSES)
        | set(PLACES)
        | set(TIMES)
        | set(OBJECTS)
        | set(COLOURS)
        | set(SIDES)
    )
)


@dataclass(frozen=True)
class Scene:
    """What a prompt may say: a place, a time, a second object on a side, a changed colour."""

    place: str
    time: str
    other: str | None = None
    other_colour: str | None = None
    side: str | None = None
    recolour: str | None = None

    @property
    def template(self) -> str:
        """The full prompt with ``{}`` where the name of the subject goes."""
        subject = f"a {self.recolour} {{}}" if self.recolour else "a {}"
        prompt = f"{subject} {PLACES[self.place]} {TIMES[self.time]}"
        if self.other:
            prompt += f" with a {self.other_colour} {self.other} on the {self.side}"
        return prompt


def scene_of(template: str) -> Scene:
    """The scene that a template says. ValueError for text outside the grammar."""
    for scene in _scenes_without_other():
        if template == scene.template:
            return scene
        if template.startswith(f"{scene.template} with a "):
            colour, other, _, _, side = template.removeprefix(f"{scene.template} with a ").split()
            return replace(scene, other=other, other_colour=colour, side=side)
    raise ValueError(f"'{template}' is no sentence of the mini world")


def _scenes_without_other() -> Iterator[Scene]:
    for place, time, recolour in product(PLACES, TIMES, (None, *COLOURS)):
        yield Scene(place, time, recolour=recolour)


def pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    """One of the options, from a single uniform draw (a stream that NumPy keeps stable)."""
    return options[int(rng.random() * len(options))]


def sample_scene(rng: np.random.Generator) -> Scene:
    """A random scene: a second object in half of them, a changed colour in a fifth."""
    place, time = pick(rng, tuple(PLACES)), pick(rng, tuple(TIMES))
    with_other, with_colour = rng.random() < 0.5, rng.random() < 0.2
    scene = Scene(place, time)
    if with_other:
        other, colour, side = pick(rng, OBJECTS), pick(rng, COLOURS), pick(rng, SIDES)
        scene = replace(scene, other=other, other_colour=colour, side=side)
    return replace(scene, recolour=pick(rng, COLOURS)) if with_colour else scene


def sample_caption(rng: np.random.Generator, scene: Scene, name: str) -> str:
    """The scene's prompt, or, in three of ten, "a photo of a {name}", which says nothing else.

    The changed colour is always named: a caption never hides it.
    """
    if rng.random() < 0.3:
        colour = f"{scene.recolour} " if scene.recolour else ""
        return f"a photo of a {colour}{name}"
    return scene.template.format(name)
