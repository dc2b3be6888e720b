"""Learned words in FLUX's CLIP and T5 and in SANA's Gemma, through the real classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.api import Workspace
from bench.errors import UserError
from bench.methods.backbones import flux_dev, sana
from bench.methods.backbones.words import LearnsWords, Reader
from bench.methods.classdiffusion import ClassDiffusion, ClassDiffusionOptions
from bench.methods.dreambooth_ti import DreamBoothTi, DreamBoothTiOptions
from bench.methods.textual_inversion import TextualInversion, TextualInversionOptions
from tests.methods.tiny_subjects import CAR, MUG, trained
from tests.methods.tiny_text_backbones import SIDE, tiny_sana

PLAIN, SAID = "a b in snow", "a <New> in snow"
FEW: Mapping[str, Any] = {"steps": 1, "iterations": 2, "batch": 1, "lr": 1e-2}
FEW_LORA: Mapping[str, Any] = {**FEW, "rank": 2, "class_images": 1, "prior": 1.0}


@pytest.fixture
def tiny_sana_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    tiny_sana("sana").save_pretrained(tmp_path / "weights" / "sana")
    return sana.load(resolution=SIDE)


@pytest.fixture(params=["flux-dev", "sana"])
def real(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "sana":
        return request.getfixturevalue("tiny_sana_backbone")
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(request.getfixturevalue("flux_home")))
    return flux_dev.load(resolution=16, max_text=16)


def told(reader: Reader, encoder: nn.Module, indices: Tensor) -> Tensor:
    """What the network itself makes of indices."""
    vectors, reader.vectors = reader.vectors, {}
    read: Tensor = encoder(indices).last_hidden_state
    reader.vectors = vectors
    return read


def encoders(backbone: Any) -> list[nn.Module]:
    """Those that read text, in the order of its readers."""
    return [part for part in backbone._encoders if hasattr(part, "get_input_embeddings")]


def test_it_learns_words(real: Any) -> None:
    assert isinstance(real, LearnsWords)


def test_a_learned_vector_is_read_as_the_token_whose_embedding_it_is(real: Any) -> None:
    """In every text encoder, Gemma's scale of embeddings and T5's second copy of them included."""
    real.words.add("<New>", "b")
    for reader, encoder in zip(real.words.readers.values(), encoders(real), strict=True):
        index, known = reader.vocabulary.add("<New>"), reader.vocabulary.indices("b")[-1]
        with torch.no_grad():
            reader.vectors[index].copy_(reader.embedding.weight[known])
            indices = torch.tensor([[1, index, 3]])
            read = encoder(indices).last_hidden_state
            assert torch.allclose(
                read, told(reader, encoder, indices.where(indices != index, known))
            )


def test_prompts_that_do_not_say_it_are_read_as_before(real: Any) -> None:
    before, unsaid = (real.encode_prompts([prompt]) for prompt in (PLAIN, SAID))
    for vector in real.words.add("<New>", "b").values():
        vector.data.add_(torch.arange(len(vector)) / 10)
    after, said = (real.encode_prompts([prompt]) for prompt in (PLAIN, SAID))
    assert torch.equal(after.tokens, before.tokens) and torch.equal(after.pooled, before.pooled)
    assert not torch.allclose(said.tokens, unsaid.tokens, atol=1e-3)


def test_gradients_reach_the_vector_in_every_text_encoder(real: Any) -> None:
    vectors = real.words.add("<New>", "b")
    read = real.words.encode([SAID])
    (read.tokens.float().square().sum() + read.pooled.float().square().sum()).backward()
    assert all(vector.grad is not None and vector.grad.any() for vector in vectors.values())
    assert all(reader.embedding.weight.grad is None for reader in real.words.readers.values())


def test_what_trainings_read_is_what_drawings_read(real: Any) -> None:
    read, drawn = real.words.encode([PLAIN]), real.encode_prompts([PLAIN])
    assert torch.equal(read.tokens, drawn.tokens) and torch.equal(read.pooled, drawn.pooled)


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (TextualInversion, TextualInversionOptions(**FEW)),
        (DreamBoothTi, DreamBoothTiOptions(**FEW_LORA)),
    ],
)
def test_what_learns_words_runs_on_it(
    real: Any, workspace: Workspace, factory: Any, options: Any
) -> None:
    made = factory(real, options)
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert mug != car
    assert trained(made, MUG, workspace) == mug


def test_classdiffusion_is_refused_where_no_embedding_is_of_the_whole_prompt(
    tiny_sana_backbone: Any,
) -> None:
    with pytest.raises(UserError, match=r"^The backbone sana makes no pooled embedding"):
        ClassDiffusion(tiny_sana_backbone, ClassDiffusionOptions(**FEW_LORA))
