"""Albums and the objective of prior preservation, by hand."""

import pytest
import torch
from torch import Tensor

from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.dreambooth_batches import Album, Lot, PriorPreserving
from bench.methods.objectives import Timesteps
from tests.networks import picture

UNIFORM = Timesteps("uniform")
Pair = tuple[Lot, Lot]


@pytest.fixture
def lots(mini: FluxBackbone) -> Pair:
    """One photograph and two class images, each with its prompt."""
    own = Album(mini, [picture((32, 32), seed=1)], "photograph", 0).latents(0, 1)
    kept = Album(mini, [picture((32, 32), seed=k) for k in (2, 3)], "class image", 0)
    return (
        Lot(own, mini.encode_prompts(["a sks mug"])),
        Lot(kept.latents(0, 2), mini.encode_prompts(["a mug", "a mug"])),
    )


def by_hand(backbone: FluxBackbone, lot: Lot, t: Tensor, noise: Tensor) -> Tensor:
    """|v(x_t) - (eps - x_0)|^2, the mean over each image."""
    x = (1 - t)[:, None, None] * lot.clean + t[:, None, None] * noise
    velocity = backbone.predict(x, t, Condition(lot.text, None))
    errors: Tensor = ((velocity - (noise - lot.clean)) ** 2).mean(dim=(1, 2))
    return errors


@pytest.mark.parametrize("prior", [1.0, 0.25])
def test_the_loss_is_that_of_photographs_plus_the_weighted_one_of_class_images(
    mini: FluxBackbone, lots: Pair, prior: float
) -> None:
    own, kept = lots
    objective = PriorPreserving({}, prior, UNIFORM)
    with torch.no_grad():
        loss, figures = objective(mini, own, kept, torch.Generator().manual_seed(7))
        generator = torch.Generator().manual_seed(7)
        t = torch.rand(3, generator=generator)
        noise = torch.randn(3, *own.clean.shape[1:], generator=generator)
        fidelity = by_hand(mini, own, t[:1], noise[:1]).mean()
        beside = by_hand(mini, kept, t[1:], noise[1:]).mean()
    assert float(loss) == pytest.approx(float(fidelity + prior * beside), rel=1e-5)
    assert figures["fidelity"] == pytest.approx(float(fidelity), rel=1e-5)
    assert figures["prior"] == pytest.approx(float(beside), rel=1e-5)


def test_without_class_images_it_is_plain_supervised_training(
    mini: FluxBackbone, lots: Pair
) -> None:
    own, _ = lots
    with torch.no_grad():
        loss, _ = PriorPreserving({}, 1.0, UNIFORM)(mini, own, None, torch.Generator())
        generator = torch.Generator()
        t = torch.rand(1, generator=generator)
        noise = torch.randn(own.clean.shape, generator=generator)
        expected = by_hand(mini, own, t, noise).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_every_image_of_an_album_comes_once_before_any_comes_again(mini: FluxBackbone) -> None:
    images = [picture((32, 32), seed=k) for k in range(5)]
    album = Album(mini, images, "photograph", 0)
    seen = torch.cat([album.latents(number, 2) for number in range(5)])
    for epoch in (seen[:5], seen[5:]):
        assert {tuple(row.flatten()[:50].tolist()) for row in epoch} == {
            tuple(row.flatten()[:50].tolist()) for row in seen
        }
    assert len({tuple(row.flatten()[:50].tolist()) for row in seen}) == 5


def test_a_batch_follows_from_its_number_alone(mini: FluxBackbone) -> None:
    images = [picture((32, 32), seed=k) for k in range(3)]
    album, again = (Album(mini, images, "photograph", 0) for _ in range(2))
    album.latents(0, 2)
    assert torch.equal(album.latents(4, 2), again.latents(4, 2))
