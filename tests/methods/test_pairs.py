"""CDNS's degraded condition, and negatives that are drawn once and kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bench.api import Workspace
from bench.errors import UserError
from bench.methods import pairs
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.corpora import Triplet
from bench.methods.pairs import Cdns, Sampler, make_negatives

SAMPLER = Sampler(weights={}, adapters_digest="none", steps=2, guidance=1.0, batch=2)
CDNS = Cdns()
INDICES = [4, 0, 7, 2, 5]


class Draws:
    """Counts the images that are drawn; may fail at one of the calls, as a kill would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[str], list[int]]] = []
        self.fail_at: int | None = None
        self.draw = pairs.draw
        monkeypatch.setattr(pairs, "draw", self)

    def __call__(self, backbone: Any, prompts: Any, references: Any, seeds: Any, *rest: Any) -> Any:
        if len(self.calls) == self.fail_at:
            self.fail_at = None
            raise KeyboardInterrupt
        self.calls.append((prompts, seeds))
        return self.draw(backbone, prompts, references, seeds, *rest)


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> Draws:
    return Draws(monkeypatch)


@pytest.fixture
def negatives(
    mini: FluxBackbone, colours: Callable[..., Any], workspace: Workspace
) -> Callable[..., list[bytes]]:
    """``negatives(source, sampler, cache)``: the pixels of the negatives of ``INDICES``."""

    def make(
        source: Cdns = CDNS, sampler: Sampler = SAMPLER, cache: Path | None = None
    ) -> list[bytes]:
        space = replace(workspace, cache=cache or workspace.cache)
        images = make_negatives(mini, colours(32, 9), INDICES, source, sampler, space)
        return [image.tobytes() for image in images]

    return make


def photograph(width: int, height: int) -> Triplet:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)
    return Triplet(image, image, "a red {mug} on the beach", "red {mug}")


@pytest.mark.parametrize(
    ("size", "radius"), [((512, 512), 5.0), ((1024, 1024), 10.0), ((640, 256), 2.5)]
)
def test_the_blur_is_pils_at_radius_5_for_512_pixels(size: tuple[int, int], radius: float) -> None:
    triplet = photograph(*size)
    _, blurred = Cdns().condition(triplet)
    expected = triplet.reference.filter(ImageFilter.GaussianBlur(radius))
    assert blurred.tobytes() == expected.tobytes()
    assert blurred.tobytes() != triplet.reference.tobytes()


def test_the_prompt_is_generic_and_takes_the_item_verbatim() -> None:
    triplet = photograph(32, 32)
    assert Cdns().condition(triplet)[0] == "a photo of red {mug}"
    assert Cdns(text="{item}, {odd} {}").condition(triplet)[0] == "red {mug}, {odd} {}"


def test_a_radius_of_zero_leaves_the_reference_sharp() -> None:
    triplet = photograph(64, 64)
    _, reference = Cdns(radius=0.0).condition(triplet)
    assert reference.tobytes() == triplet.reference.tobytes()


def test_negatives_are_drawn_from_the_degraded_condition_with_seeds_of_their_own(
    negatives: Callable[..., list[bytes]], draws: Draws
) -> None:
    assert len(set(negatives())) == len(INDICES)
    assert [len(prompts) for prompts, _ in draws.calls] == [2, 2, 1]
    assert {prompt for prompts, _ in draws.calls for prompt in prompts} == {"a photo of a mug"}
    assert len({seed for _, seeds in draws.calls for seed in seeds}) == len(INDICES)


def test_negatives_are_drawn_once(negatives: Callable[..., list[bytes]], draws: Draws) -> None:
    first, drawn = negatives(), len(draws.calls)
    assert negatives() == first
    assert len(draws.calls) == drawn


def test_interrupted_drawing_goes_on_where_it_was(
    negatives: Callable[..., list[bytes]], draws: Draws, tmp_path: Path
) -> None:
    undisturbed = negatives(cache=tmp_path / "undisturbed")
    draws.calls.clear()
    draws.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        negatives()
    assert negatives() == undisturbed
    assert [len(prompts) for prompts, _ in draws.calls] == [2, 2, 1]


@pytest.mark.parametrize(
    ("source", "sampler"),
    [
        (Cdns(radius=2.0), SAMPLER),
        (Cdns(text="a drawing of {item}"), SAMPLER),
        (Cdns(), replace(SAMPLER, steps=3)),
        (Cdns(), replace(SAMPLER, guidance=2.0)),
        (Cdns(), replace(SAMPLER, adapters_digest="another")),
    ],
    ids=["radius", "text", "steps", "guidance", "adapter"],
)
def test_another_option_is_another_folder(
    negatives: Callable[..., list[bytes]],
    draws: Draws,
    workspace: Workspace,
    source: Cdns,
    sampler: Sampler,
) -> None:
    negatives()
    drawn = len(draws.calls)
    negatives(source, sampler)
    assert len(draws.calls) == 2 * drawn
    assert len(list((workspace.cache / "negatives").iterdir())) == 2


def test_a_damaged_negative_is_named_and_drawn_again_by_the_next_run(
    negatives: Callable[..., list[bytes]], draws: Draws, workspace: Workspace
) -> None:
    whole = negatives()
    drawn = len(draws.calls)
    (folder,) = (workspace.cache / "negatives").iterdir()
    (folder / "000007.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"damaged or missing \(000007\.png\)"):
        negatives()
    assert negatives() == whole
    assert len(draws.calls) == drawn + 1
