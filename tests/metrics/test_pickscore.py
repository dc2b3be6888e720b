"""PickScore against its reference formula through transformers, on a small random CLIP."""

from functools import partial
from math import exp
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from bench.api import Scored
from bench.errors import UserError
from bench.metrics import pickscore_network
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.pickscore import PickScore, PickScoreEncoder, pickscore_v1
from tests.networks import State, picture, shaken

SHAPE = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2}
HEADS = {**SHAPE, "num_attention_heads": 3, "hidden_act": "gelu"}
SMALL = {"projection_dim": 24, "text_config": HEADS, "vision_config": {**HEADS, "patch_size": 32}}
IMAGES = [picture(size, seed) for seed, size in enumerate([(300, 260), (224, 224), (512, 256)])]
TEXTS = ["a dog", "A Red  Backpack, isn't it? 42!", "a cat in the snow " * 30]
NOTHING = np.zeros((0, 0), np.float32)


@pytest.fixture(scope="module")
def reference() -> CLIPModel:
    """The network as users of transformers have it, with its own logit scale."""
    return shaken(CLIPModel(CLIPConfig(**SMALL)))


@pytest.fixture
def state(reference: CLIPModel) -> State:
    """What older files hold as well: the numbers of the positions."""
    towers = ("text_model", "vision_model")
    positions = {f"{tower}.embeddings.position_ids": torch.arange(50)[None] for tower in towers}
    return {**reference.state_dict(), **positions}


@pytest.fixture
def encoder(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PickScoreEncoder:
    save_file(state, tmp_path / "pickscore.safetensors")
    monkeypatch.setattr(pickscore_network, "pickscore_v1", partial(pickscore_network.clip, SMALL))
    return pickscore_v1(path=tmp_path / "pickscore.safetensors")


def tokenizer() -> CLIPTokenizer:
    """transformers' tokenizer of CLIP from the table that open_clip brings."""
    table = open_clip.get_tokenizer("ViT-H-14")
    ends = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {ends.get(word, word): index for word, index in table.encoder.items()}
    return CLIPTokenizer(vocab=vocabulary, merges=list(table.bpe_ranks))


def read() -> torch.Tensor:
    arguments = {"padding": "max_length", "truncation": True, "max_length": 77}
    ids: torch.Tensor = tokenizer()(TEXTS, return_tensors="pt", **arguments).input_ids
    return ids


def test_pick_score_is_the_scaled_cosine_of_the_reference(
    encoder: PickScoreEncoder, reference: CLIPModel
) -> None:
    pixels = CLIPImageProcessorPil()(IMAGES, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        seen = reference.get_image_features(pixels).pooler_output
        texts = reference.get_text_features(read()).pooler_output
        seen, texts = (rows / rows.norm(dim=-1, keepdim=True) for rows in (seen, texts))
        expected = reference.logit_scale.exp() * (texts * seen).sum(dim=-1)
    np.testing.assert_allclose(PickScore(encoder)(IMAGES, TEXTS), expected, atol=1e-4)


def test_tokens_are_those_of_transformers_up_to_the_end_of_the_text() -> None:
    ours = open_clip.get_tokenizer("ViT-H-14")(TEXTS)
    for mine, theirs in zip(ours.tolist(), read().tolist(), strict=True):
        end = theirs.index(49407) + 1
        assert mine[:end] == theirs[:end]
        assert set(mine[end:]) <= {0}, "what pads differs"
    assert ours[2, -1] == 49407, "a long text is cut before its end token"


@pytest.mark.parametrize("end", [2, 49407])
def test_a_text_is_read_at_its_end_whichever_end_token_a_configuration_names(
    encoder: PickScoreEncoder, reference: CLIPModel, end: int
) -> None:
    text = {**HEADS, "eos_token_id": end}
    other = CLIPModel(CLIPConfig(**{**SMALL, "text_config": text})).eval()
    other.load_state_dict(reference.state_dict())
    with torch.inference_mode():
        expected = other.get_text_features(read()).pooler_output
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=5e-6)


def test_the_scale_is_that_of_the_file_and_needs_no_network(
    encoder: PickScoreEncoder, reference: CLIPModel
) -> None:
    row = np.array([0.6, 0.8], np.float32), np.array([1.0, 0.0], np.float32)
    item = Scored(row[0], references=NOTHING, gallery=NOTHING, text=row[1])
    expected = 0.6 * exp(reference.logit_scale.item())
    assert PickScore(encoder).score(item) == pytest.approx(expected, rel=1e-6)
    assert "runner" not in vars(encoder)


def test_an_encoder_without_a_scale_is_refused(clip: NetworkEncoder) -> None:
    with pytest.raises(UserError, match=r"'small-clip' has none: choose 'pickscore-v1'"):
        PickScore(clip)(IMAGES, TEXTS)


def test_a_file_without_a_scale_is_refused(encoder: PickScoreEncoder, state: State) -> None:
    save_file({"strange": torch.zeros(1)}, encoder.path)
    with pytest.raises(UserError, match="not those of 'pickscore-v1'"):
        PickScore(encoder).scale(0.5)


def test_a_file_that_lacks_a_weight_is_refused(encoder: PickScoreEncoder, state: State) -> None:
    del state["visual_projection.weight"]
    save_file(state, encoder.path)
    with pytest.raises(UserError, match=r"not those of 'pickscore-v1'.*visual_projection"):
        encoder.encode_texts(["a dog"])


def test_the_published_network_is_a_vit_huge_with_gelu() -> None:
    with torch.device("meta"):
        model = CLIPModel(CLIPConfig(**pickscore_network.VITH14))
    assert sum(value.numel() for value in model.parameters()) == 986_109_441
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes["vision_model.embeddings.position_embedding.weight"] == (257, 1280)
    assert shapes["text_model.encoder.layers.23.mlp.fc1.weight"] == (4096, 1024)
    assert {model.config.text_config.hidden_act, model.config.vision_config.hidden_act} == {"gelu"}
