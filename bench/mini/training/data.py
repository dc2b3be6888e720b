"""Renderings of the training subjects, made once and kept in a cache file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.mini.grammar import sample_caption, sample_scene
from bench.mini.world import (
    DIFFICULTY,
    SIZE,
    Split,
    generator,
    render_reference,
    render_scene,
    sample_identity,
    sample_pose,
)


@dataclass(frozen=True)
class Corpus:
    """Triplets: a reference per subject and ``per_subject`` captioned scenes of it.

    ``references``: (S, 32, 32, 3) uint8; ``targets``: (S, K, 32, 32, 3) uint8; ``captions``
    and ``prompts`` (the full ones, with ``{}`` for the name): S lists of K; ``kinds``: S.
    """

    references: NDArray[np.uint8]
    targets: NDArray[np.uint8]
    captions: list[list[str]]
    prompts: list[list[str]]
    kinds: list[str]


def build_corpus(
    seed: int, split: Split, subjects: int, per_subject: int, difficulty: float = DIFFICULTY
) -> Corpus:
    """Draw a corpus; subject and scene streams depend on their indices alone."""
    references = np.zeros((subjects, SIZE, SIZE, 3), np.uint8)
    targets = np.zeros((subjects, per_subject, SIZE, SIZE, 3), np.uint8)
    captions: list[list[str]] = []
    prompts: list[list[str]] = []
    kinds: list[str] = []
    for index in range(subjects):
        identity = sample_identity(seed, split, index)
        references[index] = render_reference(identity)
        kinds.append(identity.kind)
        captions.append([])
        prompts.append([])
        for k in range(per_subject):
            rng = generator(seed, 2, ("train", "validation", "test").index(split), index, k)
            scene = sample_scene(rng)
            targets[index, k] = render_scene(identity, scene, sample_pose(rng, scene, difficulty))
            captions[-1].append(sample_caption(rng, scene, identity.kind))
            prompts[-1].append(scene.template)
    return Corpus(references, targets, captions, prompts, kinds)


def cached_corpus(
    folder: Path,
    seed: int,
    split: Split,
    subjects: int,
    per_subject: int,
    difficulty: float = DIFFICULTY,
) -> Corpus:
    """The same corpus, drawn once and read from ``folder`` afterwards."""
    path = folder / f"corpus-{seed}-{split}-{subjects}x{per_subject}-{difficulty:g}.npz"
    if not path.exists():
        corpus = build_corpus(seed, split, subjects, per_subject, difficulty)
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            references=corpus.references,
            targets=corpus.targets,
            captions=np.array(corpus.captions),
            prompts=np.array(corpus.prompts),
            kinds=np.array(corpus.kinds),
        )
        part.replace(path)
    with np.load(path) as stored:
        return Corpus(
            stored["references"],
            stored["targets"],
            stored["captions"].tolist(),
            stored["prompts"].tolist(),
            stored["kinds"].tolist(),
        )
