"""What a training sees: order, belonging, dropped conditions, seeds."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from bench.methods.backbones.backbone import Text
from bench.methods.backbones.flux import FluxBackbone
from bench.methods.examples import Batch, Dropout, Example, Examples, OnDemand

NOTHING = torch.zeros(1)


class Recorder:
    """An encoding that encodes nothing and keeps what it was asked for."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.text_drops: list[bool] = []
        self.image_drops: list[bool] = []
        self.seeds: dict[str, list[int]] = {"reference": [], "target": [], "negative": []}

    def text(self, examples: Any, dropped: Any) -> Text:
        self.indices += [example.index for example in examples]
        self.text_drops += dropped
        return Text(NOTHING, NOTHING)

    def references(self, examples: Any, dropped: Any, generators: Any) -> Tensor:
        self.image_drops += dropped
        return self._drawn("reference", generators)

    def positives(self, examples: Any, generators: Any) -> Tensor:
        return self._drawn("target", generators)

    def negatives(self, examples: Any, generators: Any) -> Tensor:
        return self._drawn("negative", generators)

    def _drawn(self, what: str, generators: Any) -> Tensor:
        self.seeds[what] += [generator.initial_seed() for generator in generators]
        return NOTHING


def recorded(count: int, batches: int, size: int, seed: int = 0, **options: Any) -> Recorder:
    recorder = Recorder()
    pairs = [Example(index, negative=Image.Image) for index in range(count)]
    examples = Examples(recorder, pairs, seed, **options)
    for number in range(batches):
        examples.batch(number, size)
    return recorder


def rate(dropped: list[bool]) -> float:
    return sum(dropped) / len(dropped)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 9))
def test_every_example_comes_once_before_any_comes_again(count: int, size: int, seed: int) -> None:
    order = recorded(count, batches=3 * count, size=size, seed=seed).indices
    for start in range(0, len(order) - count + 1, count):
        assert sorted(order[start : start + count]) == list(range(count))


def test_the_order_differs_between_epochs_and_between_seeds() -> None:
    order = recorded(9, batches=9, size=2).indices
    assert order[:9] != order[9:]
    assert order != recorded(9, batches=9, size=2, seed=1).indices


def test_conditions_are_dropped_at_their_rates_and_independently() -> None:
    seen = recorded(5, batches=1000, size=8, dropout=Dropout(text=0.3, image=0.1))
    both = [t and i for t, i in zip(seen.text_drops, seen.image_drops, strict=True)]
    assert rate(seen.text_drops) == pytest.approx(0.3, abs=0.02)
    assert rate(seen.image_drops) == pytest.approx(0.1, abs=0.015)
    assert rate(both) == pytest.approx(0.03, abs=0.01)


def test_nothing_is_dropped_unless_asked_and_everything_at_one() -> None:
    plain, bare = (
        recorded(5, batches=50, size=4, dropout=Dropout(share, share)) for share in (0.0, 1.0)
    )
    assert not any(plain.text_drops + plain.image_drops)
    assert all(bare.text_drops + bare.image_drops)


def test_dropping_changes_neither_the_order_nor_any_seed() -> None:
    plain, dropped = (
        recorded(5, batches=9, size=4, dropout=Dropout(share, share)) for share in (0.0, 0.5)
    )
    assert (plain.indices, plain.seeds) == (dropped.indices, dropped.seeds)


def test_every_latent_of_every_batch_is_drawn_from_a_seed_of_its_own() -> None:
    seeds = [seed for drawn in recorded(5, batches=9, size=4).seeds.values() for seed in drawn]
    assert len(seeds) == 9 * 4 * 3 == len(set(seeds))


def test_a_dropped_prompt_is_empty_and_a_dropped_reference_black(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    encoding = OnDemand(mini, colours(32, 3))
    pair = [Example(0), Example(1)]
    text = encoding.text(pair, [True, False])
    expected = mini.encode_prompts(["", "a mug in snow 1"])
    torch.testing.assert_close(text.tokens, expected.tokens)
    generators = [torch.Generator(), torch.Generator()]
    reference = mini.decode(encoding.references(pair, [True, False], generators))
    assert reference[0].max() == 0.0 and reference[1].max() > 0.5


def examples_of(backbone: FluxBackbone, corpus: Any, indices: list[int], seed: int = 0) -> Examples:
    """Triplets with a negative each, whose red is 10 + its index."""
    pairs = [Example(i, negative=partial(corpus.plain, 10 + i)) for i in indices]
    return Examples(OnDemand(backbone, corpus), pairs, seed)


def test_a_batch_follows_from_its_number_and_the_seed(
    backbone: FluxBackbone, colours: Callable[..., Any]
) -> None:
    corpus = colours(backbone.spec.resolution, 5)
    one, same = (examples_of(backbone, corpus, [*range(5)], seed=1) for _ in range(2))
    one.batch(0, 2)
    for ours, theirs in zip(tensors(one.batch(7, 2)), tensors(same.batch(7, 2)), strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(one.batch(8, 2).positives, same.batch(7, 2).positives)


def reds(backbone: FluxBackbone, latents: Tensor | None) -> list[int]:
    assert latents is not None
    return [round(float(image[0].mean()) * 255) for image in backbone.decode(latents)]


def test_positives_negatives_and_references_belong_together(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    batch = examples_of(mini, colours(32, 9), [7, 2, 4]).batch(0, 3)
    indices = [200 - level for level in reds(mini, batch.condition.reference)]
    assert sorted(indices) == [2, 4, 7]
    assert reds(mini, batch.positives) == [100 - index for index in indices]
    assert reds(mini, batch.negatives) == [10 + index for index in indices]


def test_an_example_may_name_another_positive_than_the_triplets_target(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    corpus = colours(32, 9)
    labelled = Example(3, positive=partial(corpus.plain, 77), negative=partial(corpus.plain, 22))
    batch = Examples(OnDemand(mini, corpus), [labelled]).batch(0, 1)
    assert (reds(mini, batch.positives), reds(mini, batch.negatives)) == ([77], [22])
    assert reds(mini, batch.condition.reference) == [197]


def test_examples_without_negatives_make_batches_without(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    batch = Examples(OnDemand(mini, colours(32, 2)), [Example(0), Example(1)]).batch(0, 2)
    assert batch.negatives is None and len(batch.positives) == 2


def test_images_of_any_size_are_brought_to_the_backbones(
    mini: FluxBackbone, colours: Callable[..., Any]
) -> None:
    pairs = [Example(i, negative=lambda: Image.new("RGB", (70, 40))) for i in range(2)]
    batch = Examples(OnDemand(mini, colours(50, 2)), pairs).batch(0, 1)
    assert {tensor.shape for tensor in tensors(batch)[2:]} == {(1, 64, 48)}


def tensors(batch: Batch) -> list[Tensor]:
    assert batch.negatives is not None and batch.condition.reference is not None
    text = batch.condition.text
    return [text.tokens, text.pooled, batch.condition.reference, batch.positives, batch.negatives]
