"""The mini world's training subjects as a corpus: every triplet is drawn when it is asked for."""

from dataclasses import replace

from PIL import Image

from bench.identity import identity
from bench.methods.corpora import Triplet
from bench.mini.grammar import COLOURS, Scene, pick, sample_scene
from bench.mini.world import (
    Split,
    generator,
    render_reference,
    render_scene,
    sample_identity,
    sample_pose,
)

SCENES = 3
"""Stream of the scenes, apart from those that the backbone was pre-trained on (stream 2)."""
HALLUCINATIONS = 4
"""Stream of the colours that hallucinated prompts name."""


class MiniWorld:
    """One scene of each training subject of a seed; item names carry their article.

    A hallucinated prompt gives the subject a colour that it has not.
    """

    def __init__(self, seed: int = 0, split: Split = "train", subjects: int = 12_000) -> None:
        self.seed, self.split, self.subjects = seed, split, subjects
        self.identity = identity(["mini-world", 1, seed, split, subjects])

    def __len__(self) -> int:
        return self.subjects

    def __getitem__(self, index: int) -> Triplet:
        subject = sample_identity(self.seed, self.split, index)
        rng = generator(self.seed, SCENES, index)
        scene = sample_scene(rng)
        target = render_scene(subject, scene, sample_pose(rng, scene))
        return Triplet(
            reference=Image.fromarray(render_reference(subject)),
            target=Image.fromarray(target),
            prompt=scene.template.format(subject.kind),
            item=f"a {subject.kind}",
            hallucinated=_wrong(self.seed, index, scene).template.format(subject.kind),
        )


def _wrong(seed: int, index: int, scene: Scene) -> Scene:
    others = tuple(colour for colour in COLOURS if colour != scene.recolour)
    return replace(scene, recolour=pick(generator(seed, HALLUCINATIONS, index), others))
