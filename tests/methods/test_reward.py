"""The reward model: what it is made of, what it learns, and that it is made once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertTokenizer, BlipConfig, BlipForImageTextRetrieval

from bench.api import Workspace
from bench.errors import UserError
from bench.methods import reward as module
from bench.methods.examples import Example
from bench.methods.reward import Quadruplets, RewardRecipe, accuracy, fit_reward
from bench.methods.reward_network import build_head, for_mini, from_blip

QUICK = RewardRecipe(iterations=16, batch=4, micro_batch=4, lr=1e-3, frozen=0.0)
Corpus = Callable[..., Any]


def pairs_of(colours: Corpus, subjects: int) -> Quadruplets:
    """Targets are darker than their references; what is worse is brighter than the target."""
    corpus = colours(32, subjects)
    negatives = [partial(corpus.plain, 150 - index) for index in range(subjects)]
    examples = [Example(index, negative=negatives[index]) for index in range(subjects)]
    return Quadruplets(corpus, examples, 32)


@pytest.fixture
def pairs(colours: Corpus) -> Quadruplets:
    return pairs_of(colours, 20)


def test_the_head_is_linear_layers_from_narrow_normal_weights() -> None:
    head = build_head(768)
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [768, 1024, 128, 64, 16]
    assert linear[-1].out_features == 1
    assert [layer.p for layer in head if isinstance(layer, nn.Dropout)] == [0.2, 0.2, 0.1]
    assert float(linear[0].weight.detach().std()) == pytest.approx(1 / 769, rel=0.01)
    assert not any(layer.bias.any() for layer in linear)
    x = torch.randn(4, 768)
    torch.testing.assert_close(head.eval()(2 * x), 2 * head(x))


def test_a_reward_follows_from_prompt_reference_and_image_each() -> None:
    network = for_mini(0)
    nn.init.normal_(network.segments)
    image, reference = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prompts = ["a red mug on the beach", "a mug"]
    score = network.score(prompts, reference, image)
    assert score.shape == (2,)
    torch.testing.assert_close(network.score(prompts[:1], reference[:1], image[:1]), score[:1])
    for other in (
        network.score(prompts[::-1], reference, image),
        network.score(prompts, image, reference),
        network.score(prompts, reference.flip(0), image),
    ):
        assert not torch.allclose(other, score, atol=1e-5)


def test_it_learns_what_tells_positives_from_negatives(
    pairs: Quadruplets, colours: Corpus, workspace: Workspace
) -> None:
    log: list[Mapping[str, Any]] = []
    network, (_, unseen) = for_mini(0), pairs_of(colours, 20).split()
    fit_reward(network, pairs, QUICK, 0, replace(workspace, log=log.append))
    assert accuracy(network, unseen, 8) == 1.0
    losses = [event["loss"] for event in log if event["event"] == "train reward"]
    assert losses[-1] < 0.1 < losses[0]
    assert log[-1] == {"event": "validate reward", "accuracy": 1.0, "n": 1}


def test_what_is_held_out_is_not_trained_on(pairs: Quadruplets) -> None:
    seen, unseen = pairs.split()
    indices = [{example.index for example in part.examples} for part in (seen, unseen)]
    assert [len(part) for part in indices] == [19, 1]
    assert not indices[0] & indices[1]


def test_one_pair_is_too_few(colours: Corpus) -> None:
    with pytest.raises(UserError, match="two pairs at least"):
        pairs_of(colours, 1).split()


class Killed(BaseException):
    """Stands for a kill."""


def test_a_killed_training_resumes_to_the_same_weights_and_a_finished_one_is_loaded(
    pairs: Quadruplets, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = module.Recipe
    monkeypatch.setattr(module, "Recipe", lambda **fields: common(save_every=1, **fields))
    recipe = replace(QUICK, iterations=4, batch=2, micro_batch=1)
    undisturbed = replace(workspace, folder=tmp_path / "undisturbed")
    fit_reward(for_mini(0), pairs, recipe, 0, undisturbed)

    def progress(title: str, done: int, total: int) -> None:
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        fit_reward(for_mini(0), pairs, recipe, 0, replace(workspace, progress=progress))
    fit_reward(for_mini(0), pairs, recipe, 0, workspace)
    weights = workspace.folder / "reward.safetensors"
    assert weights.read_bytes() == (undisturbed.folder / "reward.safetensors").read_bytes()

    log: list[Mapping[str, Any]] = []
    later = for_mini(1)
    fit_reward(later, pairs, recipe, 1, replace(workspace, log=log.append))
    assert not log
    again = for_mini(0)
    fit_reward(again, pairs, recipe, 0, undisturbed)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(
        later.score(["a mug"] * 2, images, images), again.score(["a mug"] * 2, images, images)
    )


def test_a_damaged_reward_model_is_one_clear_sentence(
    pairs: Quadruplets, workspace: Workspace
) -> None:
    workspace.folder.mkdir(parents=True)
    (workspace.folder / "reward.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"reward\.safetensors is damaged .* delete it"):
        fit_reward(for_mini(0), pairs, QUICK, 0, workspace)


# --- on BLIP --------------------------------------------------------------------------------------


def test_it_starts_from_the_users_blip(tiny_blip: Path) -> None:
    network = from_blip(tiny_blip, 0)
    stock = BlipForImageTextRetrieval.from_pretrained(tiny_blip)
    pixels = torch.rand(1, 3, 48, 48)
    small = nn.functional.interpolate(pixels, (24, 24), mode="bicubic", antialias=True).clamp(0, 1)
    normalised = (small - network.mean) / network.std
    with torch.no_grad():
        expected = stock.vision_model(normalised).last_hidden_state
        torch.testing.assert_close(network.eval().see(pixels), expected)
    for name, value in stock.text_encoder.state_dict().items():
        assert torch.equal(network.text.state_dict()[name], value)
    assert network.score(["a mug in snow"], pixels, pixels).shape == (1,)


def test_a_prompt_is_cut_at_35_tokens(tiny_blip: Path) -> None:
    ids, mask = from_blip(tiny_blip, 0).tokens(["a mug " * 40, "mug"])
    assert ids.shape == mask.shape == (2, 35)
    assert mask.sum(dim=1).tolist() == [35, 3]


def test_the_first_layers_stay_as_blip_has_them(tiny_blip: Path) -> None:
    network = from_blip(tiny_blip, 0)
    trained = network.trainable(0.7)
    assert {name.split(".")[3] for name in trained if name.startswith("vision.encoder")} == {"2"}
    assert {name.split(".")[3] for name in trained if name.startswith("text.encoder")} == {"2"}
    assert not any("embeddings" in name for name in trained)
    assert {"segments", "head.0.weight"} <= trained.keys()
    assert network.trainable(0.0).keys() == dict(network.named_parameters()).keys()


def test_a_folder_without_blip_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read a BLIP .* option 'blip'"):
        from_blip(tmp_path, 0)


@pytest.fixture
def tiny_blip(tmp_path: Path) -> Path:
    return save_blip(tmp_path / "blip")


def save_blip(folder: Path) -> Path:
    """BLIP for image-text retrieval with three tiny layers each, saved as the real one is."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "mug", "in", "snow"]
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3}
    torch.manual_seed(0)
    config = BlipConfig(
        text_config={
            **common,
            "vocab_size": len(words),
            "encoder_hidden_size": 16,
            "num_attention_heads": 2,
            "max_position_embeddings": 40,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "sep_token_id": 3,
        },
        vision_config={**common, "num_attention_heads": 2, "image_size": 24, "patch_size": 8},
        projection_dim=8,
        image_text_hidden_size=8,
    )
    BlipForImageTextRetrieval(config).save_pretrained(folder)
    BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)
    return folder
