"""Two plain folders against each other, without a suite."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.metrics.kid import Kid
from bench.metrics.mini_encoders import mini_dino
from bench.metrics.similarity import embed
from tests.commands import here
from tests.commands import json_here as bench_json
from tests.commands import refusal_here as refusal


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Real and fake images of equal names; the fakes are brighter, and lie in a sub-folder more."""
    rng = np.random.default_rng(0)
    real, fake = tmp_path / "real", tmp_path / "fake"
    for folder, brighter in ((real, 0), (fake, 60)):
        (folder / "more").mkdir(parents=True)
        for number in range(25):
            pixels = rng.integers(0, 190, (40, 40, 3)) + brighter
            name = f"more/{number}.png" if number % 2 else f"{number}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    return real, fake


def pictures(folder: Path) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.png"))]


def test_metrics_of_sets_and_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, fake = folders
    told = bench_json(
        *("score", "--real", real, "--fake", fake, "--metrics", "diversity_mse,kid:mini-dino"),
        home=tmp_path,
    )
    assert list(told) == ["diversity_mse", "kid.mini-dino"]
    encoder = mini_dino()
    kid = Kid().score(embed(encoder, pictures(fake)), embed(encoder, pictures(real)))
    assert told["kid.mini-dino"]["mean"] == pytest.approx(kid, rel=1e-4)
    assert (told["kid.mini-dino"]["n"], told["kid.mini-dino"]["n_real"]) == (25, 25)
    squashed = [
        [
            np.asarray(image.resize((512, 512), Image.Resampling.BICUBIC), float) / 255
            for image in side
        ]
        for side in (pictures(fake), pictures(real))
    ]
    mse = np.mean([np.square(a - b).mean() for a, b in zip(*squashed, strict=True)])
    assert told["diversity_mse"]["mean"] == pytest.approx(mse, rel=1e-9)


def test_names_and_order_of_files_change_nothing_about_sets(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    real, fake = folders
    ask = ("--metrics", "kid:mini-dino", "--real", real, "--fake")
    known = bench_json("score", *ask, fake, home=tmp_path)
    for number, path in enumerate(sorted(fake.rglob("*.png"), reverse=True)):
        path.rename(fake / f"renamed-{number}.png")
    found = bench_json("score", *ask, fake, home=tmp_path)
    assert found["kid.mini-dino"]["mean"] == pytest.approx(known["kid.mini-dino"]["mean"], abs=1e-9)


def test_the_number_is_printed_with_its_definition(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    real, fake = folders
    ask = ("score", "--real", real, "--fake", fake, "--metrics", "kid:mini-dino")
    line = here(*ask, home=tmp_path).stdout
    assert line.startswith("kid.mini-dino@1 = ")
    assert "n = 25 images against 25" in line and "encoder mini-dino" in line


def test_metrics_of_pairs_need_equal_names(folders: tuple[Path, Path], tmp_path: Path) -> None:
    real, fake = folders
    (fake / "0.png").rename(fake / "other.png")
    ask = ("score", "--real", real, "--fake", fake, "--metrics", "diversity_mse")
    sentence = refusal(*ask, home=tmp_path)
    assert "need equal file names" in sentence and "0, other" in sentence


@pytest.mark.parametrize("metric", ["dino:mini-dino", "diversity_lpips"])
def test_metrics_that_need_subjects_say_so(
    metric: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    real, fake = folders
    ask = ("score", "--real", real, "--fake", fake, "--metrics", metric)
    assert "needs subjects and prompts" in refusal(*ask, home=tmp_path)


def test_an_empty_folder_is_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    ask = ("score", "--real", folders[0], "--fake", empty, "--metrics", "kid:mini-dino")
    assert f"{empty} holds no images" in refusal(*ask, home=tmp_path)
