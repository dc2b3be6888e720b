"""Pairs as data: drawn once, kept by identity, resumed, held to their digests."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.api import Workspace
from bench.errors import UserError
from bench.identity import file_digest
from bench.methods import pair_folder
from bench.methods.pair_folder import MANIFEST, PairFolder, Sampler, make_pairs
from bench.methods.pairs import Cdns, PairSource, SelfPlay
from tests.methods.tiny_trainings import fresh

SAMPLER = Sampler(weights={}, adapters_digest="none", steps=2, guidance=1.0, batch=2)
INDICES = [4, 0, 7, 2, 5]
Make = Callable[..., PairFolder]


class Draws:
    """Counts the images that are drawn; may fail at one of the calls, as a kill would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[str], list[int]]] = []
        self.fail_at: int | None = None
        self.draw = pair_folder.draw
        monkeypatch.setattr(pair_folder, "draw", self)

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
def make(colours: Callable[..., Any], workspace: Workspace) -> Make:
    """``make(source, sampler, cache)``: the pairs of ``INDICES``."""

    backbone = fresh()

    def made(
        source: PairSource | None = None, sampler: Sampler = SAMPLER, cache: Path | None = None
    ) -> PairFolder:
        space = replace(workspace, cache=cache or workspace.cache)
        corpus = colours(32, 9)
        return make_pairs(backbone, corpus, "colours", INDICES, source or Cdns(), sampler, space)

    return made


def pixels(pairs: PairFolder) -> list[bytes]:
    return [
        pairs.opener(index, number)().tobytes()
        for index in pairs.indices
        for number in range(pairs.draws)
    ]


def test_candidates_are_drawn_from_the_degraded_condition_with_seeds_of_their_own(
    make: Make, draws: Draws
) -> None:
    assert len(set(pixels(make()))) == len(INDICES)
    assert [len(prompts) for prompts, _ in draws.calls] == [2, 2, 1]
    assert {prompt for prompts, _ in draws.calls for prompt in prompts} == {"a photo of a mug"}
    assert len({seed for _, seeds in draws.calls for seed in seeds}) == len(INDICES)


def test_a_second_candidate_has_a_seed_of_its_own_and_leaves_the_first_as_it_is(
    make: Make,
) -> None:
    one, two = make(SelfPlay()), make(SelfPlay(2))
    assert (one.draws, two.draws) == (1, 2)
    assert len(set(pixels(two))) == 2 * len(INDICES)
    seeds = [[item["seeds"] for item in pairs.manifest["items"]] for pairs in (one, two)]
    assert [seed[:1] for seed in seeds[1]] == seeds[0]


def test_the_manifest_says_all_that_the_pairs_follow_from(make: Make) -> None:
    pairs = make(Cdns(image="noise"))
    manifest = pairs.manifest
    assert (manifest["corpus"], manifest["backbone"], manifest["judge"], manifest["draws"]) == (
        "colours",
        "mini",
        "mini-dino",
        1,
    )
    assert manifest["specification"]["source"]["image"] == "noise"
    assert [item["index"] for item in manifest["items"]] == INDICES == pairs.indices
    first = manifest["items"][0]
    assert (first["prompt"], first["drawn_from"]) == ("a mug in snow 4", "a photo of a mug")
    assert first["sha256"] == [file_digest(pairs.folder / "000004-0.png")]


def test_pairs_are_drawn_once_and_shared_by_all_that_agree_on_them(
    make: Make, draws: Draws
) -> None:
    first, drawn = make(), len(draws.calls)
    same = make(Cdns(deviation=0.9))
    assert same.folder == first.folder
    assert pixels(same) == pixels(first)
    assert len(draws.calls) == drawn


def test_interrupted_drawing_goes_on_where_it_was(
    make: Make, draws: Draws, workspace: Workspace, tmp_path: Path
) -> None:
    undisturbed = pixels(make(cache=tmp_path / "undisturbed"))
    draws.calls.clear()
    draws.fail_at = 1
    with pytest.raises(KeyboardInterrupt):
        make()
    (folder,) = (workspace.cache / "pairs").iterdir()
    with pytest.raises(UserError, match="holds no finished pairs"):
        PairFolder(folder)
    assert pixels(make()) == undisturbed
    assert [len(prompts) for prompts, _ in draws.calls] == [2, 2, 1]


@pytest.mark.parametrize(
    ("source", "sampler"),
    [
        (Cdns(radius=2.0), SAMPLER),
        (Cdns(image="semantic"), SAMPLER),
        (Cdns(generic="a drawing of {item}"), SAMPLER),
        (Cdns(text="none"), SAMPLER),
        (SelfPlay(), SAMPLER),
        (Cdns(), replace(SAMPLER, steps=3)),
        (Cdns(), replace(SAMPLER, guidance=2.0)),
        (Cdns(), replace(SAMPLER, adapters_digest="another")),
    ],
    ids=["radius", "image", "generic", "text", "source", "steps", "guidance", "adapter"],
)
def test_another_option_is_another_folder(
    make: Make, draws: Draws, workspace: Workspace, source: PairSource, sampler: Sampler
) -> None:
    make()
    drawn = len(draws.calls)
    make(source, sampler)
    assert len(draws.calls) == 2 * drawn
    assert len(list((workspace.cache / "pairs").iterdir())) == 2


def test_a_damaged_candidate_is_named_and_drawn_again_by_the_next_run(
    make: Make, draws: Draws
) -> None:
    pairs = make()
    whole, drawn = pixels(pairs), len(draws.calls)
    (pairs.folder / "000007-0.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"damaged or missing \(000007-0\.png\)"):
        make()
    assert pixels(make()) == whole
    assert len(draws.calls) == drawn + 1


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n torn"])
def test_opening_a_damaged_candidate_is_one_clear_sentence(
    make: Make, content: bytes | None
) -> None:
    pairs = make()
    path = pairs.folder / "000007-0.png"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError, match=r"000007-0\.png cannot be read .*draws it anew"):
        pairs.opener(7, 0)()


@pytest.mark.parametrize("damaged", ['{"schema_version": 1, "items": [{"ind', "{}", "[]", None])
def test_a_manifest_that_is_not_whole_is_one_clear_sentence_and_written_anew_by_the_next_run(
    make: Make, draws: Draws, damaged: str | None
) -> None:
    pairs = make()
    drawn, manifest = len(draws.calls), pairs.folder / MANIFEST
    before = json.loads(manifest.read_text())
    manifest.unlink() if damaged is None else manifest.write_text(damaged)
    with pytest.raises(UserError, match="holds no finished pairs; run the method that makes them"):
        PairFolder(pairs.folder)
    assert make().manifest == before
    assert len(draws.calls) == drawn
