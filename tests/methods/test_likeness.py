"""Likeness that gradients flow through: an encoder's own numbers, and what objectives say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from bench import registry
from bench.errors import UserError
from bench.methods.likeness import MINI, Eye, Objective, parse, prepared, spelt
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import CropFirst, ShortestSide, Squash
from tests.networks import picture

pytest_plugins = ["tests.methods.tiny_optimised"]


def pixels(*images: Image.Image) -> Tensor:
    return torch.stack([pil_to_tensor(image).float() / 255 for image in images])


def cosine(one: Any, other: Any) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


def test_features_are_the_encoders_own_where_nothing_is_resampled(small: NetworkEncoder) -> None:
    images = [picture((32, 32), seed) for seed in (1, 2)]
    ours = Eye("small", 1.0, MINI).features(pixels(*images))
    expected = small.encode_images([small.prepare(image) for image in images])
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["dino", "clip_i"])
def test_names_of_metrics_are_the_mini_encoders_on_mini(name: str) -> None:
    images = [picture((32, 32), seed) for seed in (1, 2)]
    encoder = registry.load("encoder", MINI[name])()
    one, other = encoder.encode_images([encoder.prepare(image) for image in images])
    loss = Objective(f"{name}:0.5", mini=True).towards(images[:1])(pixels(images[1]))
    assert loss.figures[name] == pytest.approx(cosine(one, other), abs=1e-5)
    assert loss.total.item() == pytest.approx(-0.5 * cosine(one, other), abs=1e-5)


def test_terms_are_weighted_and_photographs_averaged(small: NetworkEncoder) -> None:
    photographs, image = [picture((32, 32), 1), picture((48, 32), 2)], pixels(picture((32, 32), 3))
    both = Objective("small:2,clip_i:0.5", mini=True).towards(photographs)(image)
    single = [Objective("small", mini=True).towards([each])(image) for each in photographs]
    mean = sum(loss.figures["small"] for loss in single) / 2
    assert both.figures["small"] == pytest.approx(mean, abs=1e-6)
    expected = -2 * both.figures["small"] - 0.5 * both.figures["clip_i"]
    assert both.total.item() == pytest.approx(expected, abs=1e-6)


def test_an_image_that_follows_the_gradient_becomes_more_alike(small: NetworkEncoder) -> None:
    likeness = Objective("small").towards([picture((32, 32), 1)])
    image = pixels(picture((40, 40), 2)).requires_grad_()
    before = likeness(image)
    [slope] = torch.autograd.grad(before.total, image)
    after = likeness(image - 0.2 * slope / slope.norm())
    fall = 0.2 * slope.norm().item()
    assert after.total.item() == pytest.approx(before.total.item() - fall, abs=0.25 * fall)


def test_the_same_photograph_is_as_alike_as_can_be(small: NetworkEncoder) -> None:
    photograph = picture((32, 45), 1)
    loss = Objective("small").towards([photograph])(pixels(photograph))
    assert loss.total.item() == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("preparation", [ShortestSide(24, 16), CropFirst(24), Squash(24)])
@pytest.mark.parametrize("size", [(16, 24), (24, 15), (17, 16)])
def test_enlarged_images_look_as_they_do_to_the_encoder(
    preparation: Any, size: tuple[int, int]
) -> None:
    """Smooth ones: PIL's bicubic kernel is another one than torch's, which shows at edges."""
    image = picture((3, 3)).resize(size, Image.Resampling.BICUBIC)
    ours = prepared(pixels(image), preparation)[0].permute(1, 2, 0).numpy() * 255
    expected = np.asarray(preparation(image), dtype=float)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).mean() < 3


def test_nothing_is_resampled_where_the_size_is_right() -> None:
    images = pixels(picture((24, 24)))
    for preparation in (ShortestSide(24, 24), CropFirst(24), Squash(24)):
        assert torch.equal(prepared(images, preparation), images)


@pytest.mark.parametrize(
    "text", ["", "dino:", "dino:zero", "dino:0", "dino:-1", "dino:nan", "dino:inf", "dino,dino:2"]
)
def test_what_is_no_objective_is_one_clear_sentence(text: str) -> None:
    with pytest.raises(UserError, match="not of the form dino:1,ir:1; name each encoder once"):
        parse(text)


WEIGHTS = st.floats(0, 1e6, exclude_min=True, allow_infinity=False)
NAMED = st.dictionaries(st.sampled_from(["dino", "ir", "clip_i", "dino-vits16"]), WEIGHTS)


@given(NAMED.filter(bool))
def test_objectives_are_spelt_in_one_way(weights: dict[str, float]) -> None:
    text = ", ".join(f"{name} : {weight:.17g}" for name, weight in weights.items())
    text = text.replace(" : ", ":")
    assert parse(text) == weights
    assert spelt(spelt(text)) == spelt(text)
    assert parse(spelt(text)) == weights


def test_equal_objectives_are_one_text() -> None:
    assert spelt("dino, ir:1") == spelt("dino:1.0,ir:1") == "dino:1,ir:1"


@pytest.mark.parametrize(
    ("text", "mini", "expected"),
    [
        ("dyno", True, "Unknown encoder 'dyno'"),
        ("ir", True, "The mini world has no encoder for 'ir'; choose dino or clip_i"),
        ("pixels", True, "No gradient flows through 'pixels' here; choose dino, clip_i or another"),
        ("ir", False, "The weights of 'ir-guie-vith14' are not on this machine"),
    ],
)
def test_objectives_that_cannot_be_had_are_one_clear_sentence(
    text: str,
    mini: bool,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=expected):
        Objective(text, mini)


def test_what_an_objective_follows_from_is_told(small: NetworkEncoder) -> None:
    assert Objective("small").recipes == {"small_recipe": small.recipe}
