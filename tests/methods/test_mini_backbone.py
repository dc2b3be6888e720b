"""The mini backbone: words, pixels, size, and what happens without its weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.errors import UserError
from bench.methods.backbones import mini as module
from bench.methods.backbones.backbone import Condition
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.backbones.mini import (
    MiniNetworks,
    PixelCodec,
    assemble,
    initialise,
    load,
)
from bench.methods.backbones.mini_text import LENGTH, PAD, UNKNOWN, WORDS, tokenize
from bench.mini.world import render_reference, sample_identity


def test_words_of_the_grammar_have_their_own_index_and_others_share_one() -> None:
    ids = tokenize(["a red mug", "A Red, zyzzyva"])
    assert ids.shape == (2, LENGTH) and ids.dtype == torch.int64
    assert ids[0, :3].tolist() == [WORDS["a"], WORDS["red"], WORDS["mug"]]
    assert ids[1, :3].tolist() == [WORDS["a"], WORDS["red"], UNKNOWN]
    assert set(ids[:, 3:].unique().tolist()) == {PAD}
    assert len(set(WORDS.values()) | {PAD, UNKNOWN}) == len(WORDS) + 2


def test_long_prompts_are_cut_and_the_null_prompt_is_padding() -> None:
    ids = tokenize(["red " * 100, ""])
    assert (ids[0] == WORDS["red"]).all() and (ids[1] == PAD).all()


def test_text_depends_on_every_word_and_its_place(mini: FluxBackbone) -> None:
    text = mini.encode_prompts(["a red mug", "a blue mug", "red a mug"])
    assert text.tokens.shape == (3, LENGTH, 96) and text.pooled.shape == (3, 96)
    for other in (1, 2):
        assert (text.pooled[0] - text.pooled[other]).abs().max() > 1e-3


def test_latents_are_the_pixels(mini: FluxBackbone) -> None:
    subject = sample_identity(0, "test", 0)
    images = torch.from_numpy(render_reference(subject)).permute(2, 0, 1)[None].float() / 255
    tokens = mini.encode_images(images, [torch.Generator()])
    assert tokens.shape == (1, 64, 48) == mini.noise([torch.Generator()]).shape
    torch.testing.assert_close(mini.decode(tokens), images)
    first = tokens[0, 0].reshape(3, 4, 4) / PixelCodec.scale
    torch.testing.assert_close((first + 1) / 2, images[0, :, :4, :4])


def test_nothing_is_drawn_from_moments(mini: FluxBackbone) -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    moments = mini.moments(images)
    assert moments.shape == images.shape
    assert torch.equal(mini.latents(moments, []), mini.encode_images(images, []))
    mini.encoders_to("meta")
    assert mini.encode_prompts(["a mug"]).tokens.device.type == "cpu"


def test_it_is_small_and_says_what_it_was_trained_on(mini: FluxBackbone) -> None:
    size = sum(parameter.numel() for parameter in mini.transformer.parameters())
    assert size < 3.5e6
    assert (mini.spec.corpus, mini.spec.mini, mini.spec.guidance) == ("mini-world", True, None)


def test_before_pre_training_it_predicts_nothing_yet() -> None:
    """Zero output and open gates: the first steps train every block."""
    networks = MiniNetworks()
    initialise(networks.transformer)
    backbone = assemble(networks.eval(), "test", None)
    x = backbone.noise([torch.Generator().manual_seed(0)])
    text = backbone.encode_prompts(["a mug"])
    velocity = backbone.predict(x, torch.tensor([0.5]), Condition(text, None))
    assert not velocity.any()
    gates = networks.transformer.transformer_blocks[0].norm1.linear.bias.chunk(6)
    assert [gate.unique().tolist() for gate in gates] == [[0], [0], [1], [0], [0], [1]]


def test_missing_weights_are_one_clear_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "weights_file", lambda name: tmp_path / f"{name}.safetensors")
    with pytest.raises(UserError, match=r"mini-base\.safetensors; reinstall subjectbench"):
        load()


@pytest.mark.parametrize("with_sft", [True, False])
def test_saved_weights_load_in_half_precision_and_draw_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_sft: bool
) -> None:
    torch.manual_seed(0)
    halves = {name: tensor.half() for name, tensor in MiniNetworks().state_dict().items()}
    save_file(halves, tmp_path / "mini-base.safetensors")
    if with_sft:
        save_file({}, tmp_path / "mini-sft.safetensors")
    monkeypatch.setattr(module, "weights_file", lambda name: tmp_path / f"{name}.safetensors")
    backbone = load()
    assert backbone.dtype == torch.float32 and len(backbone.spec.digest) == 64
    assert backbone.spec.sft == (tmp_path / "mini-sft.safetensors" if with_sft else None)
    loaded = backbone.transformer.state_dict()
    assert torch.equal(loaded["proj_out.weight"], halves["transformer.proj_out.weight"].float())
