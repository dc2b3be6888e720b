"""Learned words in the CLIP text encoders of SD 1.5 and SD-XL, through the real classes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.api import Workspace
from bench.methods.backbones import sd15, sdxl
from bench.methods.classdiffusion import ClassDiffusion, ClassDiffusionOptions
from bench.methods.dreambooth_ti import DreamBoothTi, DreamBoothTiOptions
from bench.methods.textual_inversion import TextualInversion, TextualInversionOptions
from tests.methods.tiny_sdxl import save_sdxl
from tests.methods.tiny_subjects import CAR, MUG, trained
from tests.methods.tiny_text_backbones import SIDE, tiny_sd

PLAIN = "a b in snow"
FEW = {"steps": 1, "iterations": 2, "batch": 1, "lr": 1e-2}
FEW_LORA = {**FEW, "rank": 2, "class_images": 1, "prior": 1.0}


@pytest.fixture(params=["sd15", "sdxl"])
def real(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SUBJECTBENCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    if request.param == "sdxl":
        save_sdxl(tmp_path)
        return sdxl.load(resolution=32)
    tiny_sd("sd15").save_pretrained(tmp_path / "weights" / "sd15")
    return sd15.load(resolution=SIDE)


def test_a_word_starts_as_what_it_is_like_and_then_goes_its_own_way(real: Any) -> None:
    before = real.encode_prompts([PLAIN]).tokens
    vectors = real.words.add("<new>", "b")
    same = real.encode_prompts(["a <new> in snow"]).tokens
    assert torch.allclose(same, before, atol=1e-6)
    for vector in vectors.values():
        vector.data.add_(torch.arange(len(vector)) / 10)
    assert not torch.allclose(real.encode_prompts(["a <new> in snow"]).tokens, before, atol=1e-3)
    assert torch.equal(real.encode_prompts([PLAIN]).tokens, before)


def test_gradients_reach_the_vector_in_every_text_encoder(real: Any) -> None:
    vectors = real.words.add("<new>", "b")
    read = real.words.encode(["a <new> in snow"])
    (read.tokens.square().sum() + read.pooled.square().sum()).backward()
    assert all(vector.grad is not None and vector.grad.any() for vector in vectors.values())
    embeddings = [reader.embedding.weight for reader in real.words.readers.values()]
    assert all(weight.grad is None for weight in embeddings)


def test_what_trainings_read_is_what_drawings_read(real: Any) -> None:
    read, drawn = real.words.encode([PLAIN]), real.encode_prompts([PLAIN])
    assert torch.allclose(read.tokens, drawn.tokens, atol=1e-6)
    if drawn.pooled.shape[1]:
        assert torch.allclose(read.pooled, drawn.pooled, atol=1e-6)


def test_the_network_is_never_told_an_index_that_it_has_not(real: Any) -> None:
    """CLIP's pooled embedding may be looked for at the largest index."""
    seen: list[torch.Tensor] = []
    encoder = next(part for part in real._encoders if hasattr(part, "get_input_embeddings"))
    rows = encoder.get_input_embeddings().num_embeddings
    encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    real.words.add("<new>", "b")
    real.encode_prompts(["a <new> in snow"])
    assert seen and all(int(indices.max()) < rows for indices in seen)


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (TextualInversion, TextualInversionOptions(**FEW)),
        (DreamBoothTi, DreamBoothTiOptions(**FEW_LORA)),
        (ClassDiffusion, ClassDiffusionOptions(**FEW_LORA)),
    ],
)
def test_what_learns_words_runs_on_it(
    real: Any, workspace: Workspace, factory: Any, options: Any
) -> None:
    made = factory(real, options)
    mug, car = trained(made, MUG, workspace), trained(made, CAR, workspace)
    assert mug != car
    assert trained(made, MUG, workspace) == mug
