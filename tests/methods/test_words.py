"""Learned words on the mini backbone: what they touch, and what they leave alone."""

from pathlib import Path

import pytest
import torch

from bench.errors import UserError
from bench.methods.backbones.mini import MiniBackbone
from bench.methods.backbones.words import LearnsWords, load_words, save_words
from tests.methods.tiny_trainings import fresh

PLAIN = "a mug in snow by day"


@pytest.fixture
def backbone() -> MiniBackbone:
    made = fresh()
    assert isinstance(made, MiniBackbone)
    return made


def tokens(backbone: MiniBackbone, prompt: str) -> torch.Tensor:
    read: torch.Tensor = backbone.encode_prompts([prompt]).tokens
    return read


def test_mini_learns_words(backbone: MiniBackbone) -> None:
    assert isinstance(backbone, LearnsWords)


def test_prompts_that_do_not_say_a_learned_word_are_read_as_before(backbone: MiniBackbone) -> None:
    before = tokens(backbone, PLAIN)
    backbone.words.add("<new>", "mug")["<new>.words"].data.fill_(3.0)
    assert torch.equal(tokens(backbone, PLAIN), before)


def test_a_word_starts_as_what_it_is_said_to_be_like(backbone: MiniBackbone) -> None:
    backbone.words.add("<new>", "mug")
    said = tokens(backbone, "a <new> in snow by day")
    assert torch.allclose(said, tokens(backbone, PLAIN), atol=1e-6)
    assert not torch.allclose(said, tokens(backbone, "a <other> in snow by day"), atol=1e-3)


def test_a_word_may_start_as_the_mean_of_several(backbone: MiniBackbone) -> None:
    rows = [backbone.words.add(word, word)[f"{word}.words"] for word in ("red", "mug")]
    mean = backbone.words.add("<new>", "red mug")["<new>.words"]
    assert torch.allclose(mean, (rows[0] + rows[1]) / 2)


def test_gradients_reach_the_words_that_are_said_and_nothing_else(backbone: MiniBackbone) -> None:
    said = backbone.words.add("<one>", "mug")["<one>.words"]
    silent = backbone.words.add("<two>", "mug")["<two>.words"]
    backbone.words.encode(["a <one> mug"]).tokens.square().sum().backward()
    assert said.grad is not None and said.grad.abs().sum() > 0
    assert silent.grad is None or not silent.grad.any()
    reader = backbone.words.readers["words"]
    assert reader.embedding.weight.grad is None


def test_each_of_two_words_has_a_vector_of_its_own(backbone: MiniBackbone) -> None:
    for word in ("<one>", "<two>"):
        backbone.words.add(word, "mug")
    backbone.words.add("<two>", "mug")["<two>.words"].data.fill_(3.0)
    one, two = (tokens(backbone, f"a {word} in snow by day") for word in ("<one>", "<two>"))
    assert torch.allclose(one, tokens(backbone, PLAIN), atol=1e-6)
    assert not torch.allclose(two, one, atol=1e-3)


def test_a_word_taken_away_leaves_nothing_behind(backbone: MiniBackbone) -> None:
    backbone.words.add("<new>", "mug")["<new>.words"].data.fill_(3.0)
    backbone.words.remove("<new>")
    unsaid = tokens(backbone, "a <new> in snow by day")
    backbone.words.add("<new>", "mug")
    assert torch.allclose(
        tokens(backbone, "a <new> in snow by day"), tokens(backbone, PLAIN), atol=1e-6
    )
    backbone.words.remove("<new>")
    assert torch.equal(tokens(backbone, "a <new> in snow by day"), unsaid)


def test_words_are_kept_in_a_file(backbone: MiniBackbone, tmp_path: Path) -> None:
    kept = backbone.words.add("<new>", "mug")
    kept["<new>.words"].data.fill_(3.0)
    save_words(kept, tmp_path / "words.safetensors")
    again = backbone.words.add("<new>", "mug")
    load_words(again, tmp_path / "words.safetensors")
    assert torch.equal(again["<new>.words"], kept["<new>.words"])


@pytest.mark.parametrize("content", [None, b"torn", "other"])
def test_a_file_that_is_none_of_these_is_one_clear_sentence(
    backbone: MiniBackbone, tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "words.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        save_words(backbone.words.add("<other>", "mug"), path)
    with pytest.raises(UserError, match=r"words\.safetensors are damaged, gone or of another"):
        load_words(backbone.words.add("<new>", "mug"), path)
