"""Inception and its resizing against torch-fidelity and clean-fid, on the same random weights."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid.inception_pytorch import (
    FIDInceptionA,
    FIDInceptionC,
    FIDInceptionE_1,
    FIDInceptionE_2,
)
from cleanfid.resize import build_resizer
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x
from torchvision.models.inception import Inception3

from bench import registry
from bench.api import Encoder
from bench.errors import UserError
from bench.metrics import inception, inception_encoders
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.similarity import embed
from tests.networks import picture

Floats = NDArray[np.float32]
SIZES = [(300, 200), (64, 64), (299, 299), (40, 511), (1, 1)]


def lively(model: nn.Module) -> nn.Module:
    """Weights and running statistics under which features differ and stay of the order of one."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("conv.weight"):
            tensor.copy_(noise * (2 / tensor[0].numel()) ** 0.5)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.copy_(1 + noise.abs() / 4)
        elif tensor.is_floating_point():
            tensor.copy_(noise / 4)
    return model


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torch-fidelity publishes it."""
    path = tmp_path_factory.mktemp("weights") / "inception-2015.pth"
    torch.save(lively(inception.build()).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def theirs(published: Path) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network with those weights."""
    return FeatureExtractorInceptionV3("theirs", ["2048"], str(published))


@pytest.fixture(scope="module")
def encoders(published: Path) -> dict[str, NetworkEncoder]:
    """The three encoders with those weights."""
    names = ("inception_2015_clean", "inception_2015_legacy", "inception_2015_tf")
    return {name: getattr(inception_encoders, name)(path=published) for name in names}


def pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]


def clean_fids(published: Path) -> Inception3:
    """The network of pytorch-fid and of clean-fid's legacy mode: torchvision's, patched."""
    model = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    model.Mixed_5b = FIDInceptionA(192, pool_features=32)
    model.Mixed_5c = FIDInceptionA(256, pool_features=64)
    model.Mixed_5d = FIDInceptionA(288, pool_features=64)
    model.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
    model.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
    model.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
    model.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
    model.Mixed_7b = FIDInceptionE_1(1280)
    model.Mixed_7c = FIDInceptionE_2(2048)
    model.load_state_dict(torch.load(published, weights_only=True))
    model.fc = nn.Identity()
    return model.eval()


def told_by(model: nn.Module, inputs: Tensor) -> Floats:
    with torch.inference_mode():
        return np.asarray(model(inputs))


def close(ours: Floats, told: Floats) -> bool:
    return bool(np.abs(ours - told).max() <= 1e-6 * np.abs(told).max())


@pytest.mark.parametrize("name", ["clean", "legacy", "tf"])
def test_an_encoder_bears_its_registered_name(
    encoders: dict[str, NetworkEncoder], name: str
) -> None:
    encoder: Encoder = encoders[f"inception_2015_{name}"]
    assert encoder.name == f"inception-2015-{name}"
    assert registry.names("encoder")[encoder.name].endswith(f":inception_2015_{name}")


def test_resizing_and_colours_tell_the_encoders_apart(encoders: dict[str, NetworkEncoder]) -> None:
    assert len({encoder.recipe for encoder in encoders.values()}) == 3
    assert len({encoder.digest for encoder in encoders.values()}) == 1


def test_the_network_is_torch_fidelitys_bit_for_bit(
    published: Path, theirs: FeatureExtractorInceptionV3
) -> None:
    image = pixels(picture((299, 299)))
    ours = told_by(inception.inception_2015(published).images, (image.float() - 128) / 128)
    with torch.inference_mode():
        (told,) = theirs(image)
    np.testing.assert_array_equal(ours, told)
    assert np.asarray(told).std() > 0.1


def test_both_formats_of_the_weights_are_read(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "inception-2015.safetensors"
    save_file(torch.load(published, weights_only=True), other)
    image = torch.rand(1, 3, 80, 80)
    towers = (inception.inception_2015(path) for path in (published, other))
    one, two = (told_by(tower.images, image) for tower in towers)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_a_file_that_is_no_weights_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "inception-2015.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"are not those of 'inception-2015-tf'"):
        embed(inception_encoders.inception_2015_tf(path=path), [picture((32, 32))])


@pytest.mark.parametrize("size", SIZES)
def test_the_clean_resize_is_clean_fids_bit_for_bit(size: tuple[int, int]) -> None:
    image = picture(size)
    ours = inception_encoders.SquashUnrounded(299)(image)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, build_resizer("clean")(np.array(image)))


@pytest.mark.parametrize("size", SIZES)
def test_the_resize_of_tensorflow_is_torch_fidelitys_bit_for_bit(size: tuple[int, int]) -> None:
    image = picture(size)
    told = interpolate_bilinear_2d_like_tensorflow1x(
        pixels(image).float(), size=(299, 299), align_corners=False
    )
    ours = inception_encoders.Bilinear(299, centred=False)(image)
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, told[0].permute(1, 2, 0))


@pytest.mark.parametrize("size", SIZES)
def test_the_legacy_resize_is_clean_fids(size: tuple[int, int]) -> None:
    image = picture(size)
    with warnings.catch_warnings():  # its resizer silences every warning of the process
        told = build_resizer("legacy_pytorch")(np.array(image))
    ours = inception_encoders.Bilinear(299, centred=True)(image)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, told, rtol=0, atol=255e-6)


def test_clean_is_clean_fids_resize_before_the_network(
    encoders: dict[str, NetworkEncoder], theirs: FeatureExtractorInceptionV3
) -> None:
    image = picture((300, 200))
    resized = torch.from_numpy(build_resizer("clean")(np.array(image))).permute(2, 0, 1)[None]
    (told,) = unresized(theirs, resized)
    assert close(embed(encoders["inception_2015_clean"], [image])[0], told)


def unresized(network: FeatureExtractorInceptionV3, resized: Tensor) -> Floats:
    """What clean-fid does with pixels of 0..255: its network, (x - 128) / 128, no resizing.

    That network is a file of its own, so torch-fidelity's stands in.
    """
    layers = [layer for name, layer in network.named_children() if name != "fc"]
    return told_by(nn.Sequential(*layers, nn.Flatten()), (resized - 128) / 128)


def test_tf_is_torch_fidelity_from_end_to_end(
    encoders: dict[str, NetworkEncoder], theirs: FeatureExtractorInceptionV3
) -> None:
    image = picture((300, 200))
    with torch.inference_mode():
        (told,) = theirs(pixels(image))
    assert close(embed(encoders["inception_2015_tf"], [image]), np.asarray(told))


def test_legacy_is_clean_fids_patched_network_on_minus_one_to_one(
    encoders: dict[str, NetworkEncoder], published: Path
) -> None:
    image = picture((300, 200))
    resized = F.interpolate(pixels(image).float(), (299, 299), mode="bilinear")
    told = told_by(clean_fids(published), 2 * (resized / 255) - 1)
    assert close(embed(encoders["inception_2015_legacy"], [image]), told)
