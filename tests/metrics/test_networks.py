"""What a network computes does not depend on batches, order or anybody's faster setting."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.api import Precision
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.networks import Runner, Towers, exactly
from bench.metrics.preparation import GREY
from bench.metrics.similarity import cosines, directions, embed
from tests.networks import picture, small_encoder

IMAGES = [picture((40, 32), seed) for seed in range(7)]
TEXTS = [f"a dog number {number}" for number in range(7)]


@pytest.fixture
def hurried() -> Iterator[None]:
    """A method that chose TF32 for its own speed."""
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_batch_size_and_order_change_nothing(
    clip: NetworkEncoder, clip_file: Path, batch: int
) -> None:
    other = small_encoder(clip_file, batch=batch)
    for found, known in (
        (embed(other, IMAGES[::-1]), embed(clip, IMAGES)),
        (other.encode_texts(TEXTS[::-1]), clip.encode_texts(TEXTS)),
    ):
        np.testing.assert_allclose(directions(found[::-1]), directions(known), atol=1e-6)


def test_rows_are_float32_and_keep_the_length_that_the_network_gave_them(
    clip: NetworkEncoder,
) -> None:
    for rows in (embed(clip, IMAGES), clip.encode_texts(TEXTS)):
        assert rows.dtype == np.float32 and rows.shape == (7, 24)
        assert np.abs(np.linalg.norm(rows, axis=1) - 1).min() > 0.01


def test_nothing_is_no_rows(clip: NetworkEncoder) -> None:
    assert len(clip.encode_images([])) == len(clip.encode_texts([])) == 0


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("precision", "inside"), [("fp32", "highest"), ("tf32", "high")])
def test_a_faster_setting_reaches_the_network_where_asked_for_and_nothing_outside(
    precision: Precision, inside: str
) -> None:
    seen: list[tuple[str, bool]] = []

    def watching(pixels: Tensor) -> Tensor:
        allowed = torch.backends.cudnn.allow_tf32
        seen.append((torch.get_float32_matmul_precision(), allowed))
        return pixels.flatten(1)

    before = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
    runner = Runner(Towers(nn.Identity(), watching), precision, 32)
    runner.images([np.zeros((2, 2, 3), np.uint8)], GREY)
    assert seen == [(inside, precision == "tf32")]
    assert torch.get_float32_matmul_precision() == "high"
    assert (torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32) == before


def test_the_gpu_keeps_its_fast_convolutions() -> None:
    with exactly():
        assert torch.backends.cudnn.enabled
        assert torch.is_inference_mode_enabled()


def judged(encoder: NetworkEncoder) -> NDArray[np.float64]:
    found: NDArray[np.float64] = cosines(embed(encoder, IMAGES), encoder.encode_texts(TEXTS))
    return found


@pytest.mark.parametrize(("precision", "error"), [("fp16", 1e-3), ("bf16", 1e-2)])
def test_half_precisions_move_cosines_by_no_more_than_their_rounding(
    clip: NetworkEncoder, clip_file: Path, precision: Precision, error: float
) -> None:
    moved = np.abs(judged(small_encoder(clip_file, precision)) - judged(clip)).max()
    assert error / 1000 < moved < error


def test_tf32_is_fp32_on_a_machine_without_it(clip: NetworkEncoder, clip_file: Path) -> None:
    found = judged(small_encoder(clip_file, "tf32"))
    np.testing.assert_allclose(found, judged(clip), atol=1e-3 if torch.cuda.is_available() else 0)


def test_a_network_without_a_text_tower_reads_no_texts() -> None:
    with pytest.raises(ValueError, match="images only"):
        Runner(Towers(nn.Identity(), nn.Flatten()), "fp32", 32).texts(["a dog"])
