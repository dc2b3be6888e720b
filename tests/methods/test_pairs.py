"""What candidates are drawn from: CDNS's degraded conditions, and self-play's own."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.errors import UserError
from bench.methods.corpora import Triplet
from bench.methods.degradations import blurred, noisy
from bench.methods.mini_corpus import MiniWorld
from bench.methods.pairs import Cdns, SelfPlay

REFERENCE = Image.linear_gradient("L").convert("RGB")
TARGET = Image.new("RGB", (256, 256), "red")
TRIPLET = Triplet(REFERENCE, TARGET, "a red {mug} on the beach", "red {mug}", "a blue mug")


def prompt(index: int = 0, **options: Any) -> str:
    asked: str = Cdns(**options).condition(index, TRIPLET)[0]
    return asked


def reference(index: int = 0, **options: Any) -> bytes:
    shown: bytes = Cdns(**options).condition(index, TRIPLET)[1].tobytes()
    return shown


def written(folder: Path, captions: dict[int, str]) -> Path:
    file = folder / "captions.jsonl"
    lines = [json.dumps({"index": i, "caption": c}) for i, c in captions.items()]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def test_by_default_the_reference_is_blurred_and_the_prompt_names_the_item_alone() -> None:
    assert prompt() == "a photo of red {mug}"
    assert reference() == blurred(REFERENCE, 5.0).tobytes()


def test_the_generic_prompt_takes_the_item_verbatim() -> None:
    assert prompt(generic="{item}, {odd} {}") == "red {mug}, {odd} {}"


def test_without_degradation_prompt_and_reference_are_the_triplets_own() -> None:
    assert prompt(text="none") == TRIPLET.prompt
    assert reference(image="none") == REFERENCE.tobytes()


def test_a_semantic_degradation_shows_the_target_in_the_references_place() -> None:
    assert reference(image="semantic") == TARGET.tobytes()


def test_noise_differs_between_triplets_and_is_the_same_at_every_call() -> None:
    first = reference(0, image="noise", deviation=0.2)
    assert first == reference(0, image="noise", deviation=0.2)
    assert first != reference(1, image="noise", deviation=0.2)
    assert first != noisy(REFERENCE, 0.2, seed=0).tobytes()


def test_hallucinated_prompts_are_the_corpus_own_or_those_of_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, {7: "a square mug"})
    assert prompt(text="hallucinated") == "a blue mug"
    assert prompt(7, text="hallucinated", captions=file) == "a square mug"


def test_the_mini_worlds_hallucinated_prompt_names_another_colour() -> None:
    triplet = MiniWorld()[3]
    wrong, _ = Cdns(text="hallucinated").condition(3, triplet)
    kind = triplet.item.removeprefix("a ")
    assert wrong != triplet.prompt and kind in wrong and kind in triplet.prompt


def test_a_caption_that_is_missing_is_one_clear_sentence(tmp_path: Path) -> None:
    file = written(tmp_path, {7: "a square mug"})
    with pytest.raises(UserError, match=r"has no caption for triplet 8; write the missing"):
        prompt(8, text="hallucinated", captions=file)


def test_a_corpus_without_hallucinated_prompts_is_one_clear_sentence() -> None:
    plain = Triplet(REFERENCE, TARGET, "a mug on the beach", "a mug")
    with pytest.raises(UserError, match="no hallucinated captions; write them with 'bench pairs"):
        Cdns(text="hallucinated").condition(0, plain)


def test_a_specification_names_what_counts_and_nothing_else(tmp_path: Path) -> None:
    blur = {"source": "cdns", "image": "blur", "text": "generic", "radius": 5.0}
    assert Cdns().specification() == {**blur, "generic": "a photo of {item}"}
    assert Cdns(deviation=0.9) != Cdns()
    assert Cdns(deviation=0.9).specification() == Cdns().specification()
    noise = Cdns(image="noise", text="none", radius=1.0, generic="{item}").specification()
    assert noise == {"source": "cdns", "image": "noise", "text": "none", "deviation": 0.3}
    assert Cdns(draws=2).specification() != Cdns().specification()


def test_other_captions_are_another_specification(tmp_path: Path) -> None:
    file = written(tmp_path, {0: "a blue mug"})
    before = Cdns(text="hallucinated", captions=file).specification()
    written(tmp_path, {0: "a green mug"})
    assert Cdns(text="hallucinated", captions=file).specification() != before


def test_self_play_draws_from_the_very_condition() -> None:
    assert SelfPlay().condition(0, TRIPLET) == (TRIPLET.prompt, REFERENCE)
    assert SelfPlay(2).specification() == {"source": "self-play", "draws": 2}
