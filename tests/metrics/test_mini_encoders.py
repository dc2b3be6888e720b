"""The mini world's encoders, as they ship."""

import numpy as np
import pytest
from PIL import Image

from bench import metrics
from bench.errors import UserError
from bench.identity import file_digest
from bench.metrics.mini_encoders import mini_clip, mini_dino
from bench.metrics.mini_networks import END, clip_tokens
from bench.metrics.similarity import cosines, embed
from bench.mini.grammar import CLASSES, PLACES, TIMES, Scene
from bench.mini.weights import weights_file
from bench.mini.world import Pose, render_reference, render_scene, sample_identity


def scene_of(index: int, scene: Scene) -> Image.Image:
    identity = sample_identity(7, "validation", index)
    return Image.fromarray(render_scene(identity, scene, Pose(15.0, 19.0, 10.5, 0.08)))


def test_mini_dino_knows_a_subject_in_another_scene_among_others_of_its_class() -> None:
    subjects = range(0, 20 * len(CLASSES), len(CLASSES))
    references = [
        Image.fromarray(render_reference(sample_identity(7, "validation", index)))
        for index in subjects
    ]
    scenes = [scene_of(index, Scene("forest", "day")) for index in subjects]
    encoder = mini_dino()
    similar = cosines(embed(encoder, scenes), embed(encoder, references))
    assert (similar.argmax(axis=1) == np.arange(20)).mean() >= 0.9
    assert np.diag(similar).mean() - similar.mean() > 0.5


def test_mini_clip_knows_the_scene_of_an_image_whatever_the_subject() -> None:
    scenes = [Scene(place, time) for place in PLACES for time in TIMES]
    images = [scene_of(8 * index, scene) for index, scene in enumerate(scenes)]
    encoder = mini_clip()
    texts = encoder.encode_texts([scene.template.format(CLASSES[0]) for scene in scenes])
    similar = cosines(embed(encoder, images), texts)
    assert (similar.argmax(axis=1) == np.arange(len(scenes))).mean() >= 0.8


def test_mini_clip_knows_the_class() -> None:
    images = [scene_of(index, Scene("sand", "day")) for index in range(len(CLASSES))]
    texts = [f"a {name} on sand by day" for name in CLASSES]
    encoder = mini_clip()
    similar = cosines(embed(encoder, images), encoder.encode_texts(texts))
    assert (similar.argmax(axis=1) == np.arange(len(CLASSES))).mean() >= 0.8


@pytest.mark.parametrize("name", ["mini-dino", "mini-clip"])
def test_photographs_of_any_size_are_brought_to_the_size_of_the_world(name: str) -> None:
    encoder = metrics.encoder(name)
    images = [Image.new("RGB", size, "teal") for size in ((32, 32), (512, 512), (300, 201))]
    rows = embed(encoder, images)
    np.testing.assert_allclose(rows, rows[[0, 0, 0]], atol=1e-5)
    assert (encoder.name, encoder.digest) == (name, file_digest(weights_file(name)))


def test_mini_dino_reads_no_texts() -> None:
    with pytest.raises(UserError, match="'mini-dino' reads images only"):
        mini_dino().encode_texts(["a mug"])


def test_the_shipped_weights_are_small() -> None:
    for name in ("mini-dino", "mini-clip", "mini-attributes"):
        assert weights_file(name).stat().st_size < 1_300_000


def test_a_text_is_closed_by_the_highest_token_where_it_ends() -> None:
    short, empty, endless, strange = clip_tokens(["a mug", "", "mug " * 50, "a zebra"])
    assert short.tolist()[2:] == [END] + [0] * 17
    assert empty.tolist() == [END] + [0] * 19
    assert endless.tolist()[-1] == END and endless.argmax() == 19
    assert strange.tolist()[1] == 1 < short[1]
    assert max(short[:2].tolist() + endless[:-1].tolist()) < END
