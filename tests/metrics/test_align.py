"""ALIGN as transformers has it: network, tokenizer and preparation, from a folder on this disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AlignConfig,
    AlignModel,
    AlignTextConfig,
    AlignVisionConfig,
    BertTokenizer,
    EfficientNetImageProcessorPil,
)

from bench import registry
from bench.errors import UserError
from bench.metrics.encoders import NetworkEncoder
from tests.networks import picture
from tests.tiny_align import save_align

TEXTS = ["a mug", "a mug on the grass by day"]


@pytest.fixture(scope="session")
def align_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a small random ALIGN where Kakao Brain's belongs."""
    home = tmp_path_factory.mktemp("home")
    save_align(home / "weights" / "align-base")
    return home


@pytest.fixture
def align(align_home: Path, monkeypatch: pytest.MonkeyPatch) -> NetworkEncoder:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(align_home))
    encoder: NetworkEncoder = registry.load("encoder", "align-base")()
    return encoder


def test_images_are_prepared_as_the_processor_beside_the_weights_does(
    align: NetworkEncoder,
) -> None:
    processor = EfficientNetImageProcessorPil(
        do_center_crop=True,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
        resample=2,
    )
    for size in ((400, 300), (200, 512)):
        image = picture(size)
        theirs = processor(image, return_tensors="np")["pixel_values"][0]
        ours = align.prepare(image).astype(np.float64).transpose(2, 0, 1) / 127.5 - 1
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_features_are_those_of_transformers(align: NetworkEncoder, align_home: Path) -> None:
    model = AlignModel.from_pretrained(align_home / "weights" / "align-base").eval()
    tokenizer = BertTokenizer.from_pretrained(align_home / "weights" / "align-base")
    tokens = tokenizer(TEXTS, padding="max_length", max_length=64, return_tensors="pt")
    prepared = [align.prepare(picture((300, 300), seed)) for seed in range(2)]
    pixels = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        both = model(**tokens, pixel_values=pixels)
    ours, texts = align.encode_images(prepared), align.encode_texts(TEXTS)
    assert ours.shape == texts.shape == (2, 80)
    unit = texts / np.linalg.norm(texts, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, both.text_embeds.numpy(), atol=1e-5)
    images = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    np.testing.assert_allclose(images, both.image_embeds.numpy(), atol=1e-5)


def test_what_a_text_is_read_beside_changes_nothing(align: NetworkEncoder) -> None:
    alone, beside = align.encode_texts(TEXTS[:1]), align.encode_texts(TEXTS)
    np.testing.assert_allclose(beside[:1], alone, atol=1e-5)
    assert np.abs(beside[1] - alone[0]).max() > 1e-3


def test_a_folder_of_another_network_is_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights" / "align-base"
    save_align(folder)
    other = AlignTextConfig(vocab_size=9, hidden_size=8, num_attention_heads=1)
    AlignConfig(text_config=other, vision_config=AlignVisionConfig()).save_pretrained(folder)
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match="are not those of 'align-base'"):
        registry.load("encoder", "align-base")().encode_texts(TEXTS)
