"""LPIPS against the package ``lpips`` and torchmetrics, on the same random trunks."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import lpips
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torchmetrics.functional.image import lpips as torchmetrics_lpips
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

from bench.errors import UserError
from bench.metrics.comparers import LpipsComparer, compared
from bench.metrics.lpips import Lpips

Trunk = Literal["alex", "vgg", "squeeze"]
TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
Comparers = Callable[[str], LpipsComparer]


def picture(seed: int, size: tuple[int, int] = (72, 64)) -> Image.Image:
    """Coloured blobs under fine grain."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), np.uint8)).resize(size)
    grain = rng.integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8))


def tensor(image: Image.Image) -> Tensor:
    """(1, 3, H, W) in [-1, 1]."""
    scaled: Tensor = torchvision.transforms.functional.to_tensor(image)[None] * 2 - 1
    return scaled


def layers(model: str) -> nn.Module:
    """torchvision's trunk, random. VGG's classifier alone would take seconds to fill."""
    if model == "vgg16":
        built: nn.Module = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
        return built
    features: nn.Module = getattr(torchvision.models, model)().features
    return features


@pytest.fixture(scope="module")
def comparer(tmp_path_factory: pytest.TempPathFactory) -> Comparers:
    """Comparers with trunks as torchvision stores them."""
    folder, made = tmp_path_factory.mktemp("trunks"), dict[str, LpipsComparer]()

    def make(trunk: str) -> LpipsComparer:
        if trunk not in made:
            torch.manual_seed(0)
            state = {f"features.{k}": v for k, v in layers(TRUNKS[trunk]).state_dict().items()}
            torch.save({**state, "classifier.1.weight": torch.ones(1)}, folder / f"{trunk}.pth")
            made[trunk] = LpipsComparer(trunk, path=folder / f"{trunk}.pth")
        return made[trunk]

    return make


def state_of(comparer: LpipsComparer) -> dict[str, Tensor]:
    """The trunk's layers by number."""
    stored = torch.load(comparer.path).items()
    return {name.removeprefix("features."): value for name, value in stored if "feat" in name}


def package(trunk: str, state: dict[str, Tensor]) -> Any:
    """The package's LPIPS with a trunk from elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False)
    for name, value in model.net.state_dict().items():
        value.copy_(state[name.split(".", 1)[1]])
    return model


@pytest.mark.parametrize("trunk", TRUNKS)
def test_distance_is_the_packages(trunk: str, comparer: Comparers) -> None:
    ours = comparer(trunk)
    theirs = package(trunk, state_of(ours))
    images = [picture(seed) for seed in range(3)]
    pairs = [(images[0], images[1]), (images[2], images[0]), (images[1], images[1])]
    with torch.no_grad():
        expected = [float(theirs(tensor(one), tensor(other))) for one, other in pairs]

    distances = ours.distances(pairs)

    assert distances == pytest.approx(expected, abs=1e-6)
    assert min(distances[:2]) > 0.01
    assert distances[2] == 0


@pytest.mark.parametrize("trunk", TRUNKS)
def test_distance_is_that_of_torchmetrics(
    trunk: Trunk, comparer: Comparers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = comparer(trunk)

    def offline(name: str, pretrained: bool) -> nn.Module:
        trunk_layers = layers(name)
        trunk_layers.load_state_dict(state_of(ours))
        return trunk_layers

    # torchmetrics takes no weights: it would fetch them.
    monkeypatch.setattr(torchmetrics_lpips, "_get_tv_model_features", offline)
    theirs = LearnedPerceptualImagePatchSimilarity(trunk)
    one, other = picture(0), picture(1)

    assert ours.distances([(one, other)]) == pytest.approx(
        [float(theirs(tensor(one), tensor(other)))], abs=1e-6
    )


def test_order_company_and_memory_change_no_digit(comparer: Comparers) -> None:
    ours = comparer("alex")
    starved = LpipsComparer("alex", path=ours.path, kept_bytes=0)
    pairs = list(combinations([picture(seed) for seed in range(4)], 2))

    together = ours.distances(pairs)

    assert ours.distances(pairs[::-1]) == together[::-1]
    assert [ours.distances([pair])[0] for pair in pairs] == together
    assert starved.distances(pairs) == together


@dataclass
class Number:
    """Features of a picture whose colour is a number."""

    value: int
    nbytes: int = 10


@given(
    pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20),
    room=st.integers(0, 8),
)
def test_features_are_shared_as_far_as_memory_goes(pairs: list[tuple[int, int]], room: int) -> None:
    made: list[int] = []

    def features(image: Image.Image) -> Number:
        made.append(int(np.asarray(image)[0, 0, 0]))
        return Number(made[-1])

    def pictures(pair: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
        one, other = (Image.new("RGB", (2, 2), (value, 0, 0)) for value in pair)
        return one, other

    found = list(
        compared(
            [pictures(pair) for pair in pairs],
            features,
            lambda one, other: 10.0 * one.value + other.value,
            kept_bytes=room * 10,
        )
    )

    assert found == [10 * one + other for one, other in pairs]
    if room >= 7:
        assert sorted(made) == sorted({value for pair in pairs for value in pair})


def test_unequal_sizes_are_refused(comparer: Comparers) -> None:
    with pytest.raises(ValueError, match=r"unequal sizes, \(72, 64\) and \(64, 72\)"):
        comparer("alex").distances([(picture(0), picture(0, (64, 72)))])


def test_images_too_small_for_the_trunk_are_refused(comparer: Comparers) -> None:
    small = picture(0, (64, 31))

    with pytest.raises(ValueError, match=r"at least 32 pixels a side, not \(64, 31\)"):
        comparer("alex").distances([(small, small)])


def test_half_precision_is_close_and_another_recipe(comparer: Comparers) -> None:
    full = comparer("alex")
    half = LpipsComparer("alex", "bf16", full.path)
    pair = (picture(0), picture(1))

    assert half.distances([pair]) == pytest.approx(full.distances([pair]), rel=0.05)
    assert half.recipe != full.recipe
    assert half.digest == full.digest


def test_digest_follows_trunk_and_heads(
    comparer: Comparers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = comparer("alex")
    other = tmp_path / "other.pth"
    other.write_bytes(b"other")
    assert LpipsComparer("alex", path=other).digest != first.digest

    monkeypatch.setattr("bench.metrics.comparers.trained_heads", lambda trunk: other)
    assert LpipsComparer("alex", path=first.path).digest != first.digest


@pytest.mark.parametrize("content", ["another trunk", "text"])
def test_weights_of_something_else_are_named(
    content: str, comparer: Comparers, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(comparer("squeeze").path.read_bytes() if content != "text" else b"hello")

    with pytest.raises(UserError, match=r"weights\.pth are not those of 'lpips-alex'; replace"):
        LpipsComparer("alex", path=path).distances([(picture(0), picture(1))])


def test_metric_is_the_mean_over_references_at_the_images_size(comparer: Comparers) -> None:
    ours = comparer("alex")
    images, references = [picture(0), picture(1, (64, 64))], [picture(2), picture(3, (90, 90))]

    scores = Lpips(ours)(images, references)

    for image, score in zip(images, scores, strict=True):
        sized = [other.resize(image.size, Image.Resampling.BICUBIC) for other in references]
        assert score == pytest.approx(np.mean(ours.distances([(image, each) for each in sized])))


def test_metric_without_references_or_comparer_says_so(comparer: Comparers) -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        Lpips(comparer("alex"))([picture(0)], [])
    with pytest.raises(ValueError, match="without a comparer"):
        Lpips()([picture(0)], [picture(1)])


def test_no_torch_before_something_is_compared(tmp_path: Path) -> None:
    (tmp_path / "alex.pth").write_bytes(b"weights")
    program = (
        "import sys; from pathlib import Path; from bench.metrics.comparers import LpipsComparer\n"
        "import bench.metrics.lpips, bench.metrics.diversity, bench.metrics.dreamsim\n"
        "LpipsComparer('alex', path=Path(sys.argv[1])).recipe; sys.exit('torch' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", program, str(tmp_path / "alex.pth")], check=True)
