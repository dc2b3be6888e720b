"""Encoders as the harness sees them: names, digests, recipes, and no network before its time."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bench.api import Precision
from bench.errors import UserError
from bench.identity import file_digest
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import CLIP, GREY, Colours, CropFirst, ShortestSide
from bench.metrics.similarity import embed
from tests.networks import picture, small_encoder

BUILD = "tests.networks:small_clip_towers"
PREPARE = ShortestSide(32, 32)
IMAGES_ONLY = "tests.networks:small_clip_images"


def test_the_digest_is_that_of_the_weights_file_and_needs_no_network(
    clip: NetworkEncoder, clip_file: Path
) -> None:
    assert clip.digest == file_digest(clip_file)
    assert clip.recipe and "runner" not in vars(clip)


def test_a_warm_cache_scores_without_torch(clip_file: Path) -> None:
    program = f"""
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from bench.api import Scored
from bench.metrics import ClipI, ClipT, Dino
from bench.metrics.clip_t import ClipScore
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.ir import Ir
from bench.metrics.pickscore import PickScore, pickscore_v1
from bench.metrics.preparation import GREY, ShortestSide
path = Path({str(clip_file)!r})
encoder = NetworkEncoder("small", "{BUILD}", ShortestSide(32, 32), GREY, path=path)
encoder.recipe, encoder.prepare(Image.new("RGB", (40, 50)))
row = np.ones(4, np.float32)
item = Scored(image=row, references=row[None], gallery=row[None], text=row)
scaled = pickscore_v1(path=path)
for metric in (Dino(encoder), ClipI(), ClipT(), ClipScore(), Ir(), PickScore(scaled)):
    metric.score(item)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def recipes(clip_file: Path) -> Iterable[str]:
    def of(
        name: str = "small",
        prepare: ShortestSide | CropFirst = PREPARE,
        colours: Colours = GREY,
        precision: Precision = "fp32",
        path: Path = clip_file,
    ) -> str:
        recipe: str = NetworkEncoder(name, BUILD, prepare, colours, precision, path).recipe
        return recipe

    other = clip_file.with_name("other.safetensors")
    other.write_bytes(clip_file.read_bytes() + b" ")
    yield of()
    yield of(name="other")
    yield of(prepare=ShortestSide(33, 32))
    yield of(prepare=CropFirst(32))
    yield of(colours=CLIP)
    yield of(precision="tf32")
    yield of(path=other)
    assert of() == of()


def test_the_recipe_tells_all_that_features_follow_from(clip_file: Path) -> None:
    found = list(recipes(clip_file))
    assert len(set(found)) == len(found) == 7


def test_batch_size_is_no_part_of_the_recipe(clip: NetworkEncoder, clip_file: Path) -> None:
    assert small_encoder(clip_file, batch=1).recipe == clip.recipe


def test_the_network_is_built_once(clip: NetworkEncoder) -> None:
    embed(clip, [picture((32, 32))])
    first = clip.runner
    clip.encode_texts(["a dog"])
    assert clip.runner is first


def test_an_image_encoder_asked_for_texts_says_so(clip_file: Path) -> None:
    encoder = NetworkEncoder("small-vit", IMAGES_ONLY, PREPARE, GREY, path=clip_file)
    with pytest.raises(UserError, match=r"'small-vit' reads images only.*clip-vitb32-openai"):
        encoder.encode_texts(["a dog"])


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08" + b"\0" * 7 + b"{}      "])
def test_a_file_that_is_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"are not those of 'small-clip'.*replace the file"
    ) as error:
        embed(small_encoder(path), [picture((32, 32))])
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_the_network_sees_is_what_was_prepared(clip: NetworkEncoder) -> None:
    image = picture((64, 48))
    prepared = clip.prepare(image)
    assert prepared.shape == (32, 32, 3) and prepared.dtype == np.uint8
    np.testing.assert_array_equal(clip.encode_images([prepared]), embed(clip, [image]))
