"""Looking at pictures once: decoded once, shown to every encoder once, and remembered.

Everything that the metrics need is asked for together, so that none decodes or encodes anew what
another has seen, in this process or in an earlier one.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Resampling

from bench.api import Cutter, Progress, silent
from bench.features import FeatureStore, Vector
from bench.gallery import Picture
from bench.identity import identity
from bench.views import Comparison, View, finding_key

if TYPE_CHECKING:
    from PIL.Image import Image

    Opened = Mapping[Picture, Image]

CHUNK = 32
"""Pictures held decoded at a time; a multiple of the usual numbers of seeds, so that the images of
one prompt are mostly held together."""

BICUBIC = Resampling.BICUBIC
Pair = tuple[Picture, Picture]
Pairs = Mapping[Comparison, Sequence[Pair]]
Known = Mapping[str, Mapping[str, Vector]]
"""Features, distances and findings by recipe and key."""


class Observed:
    """What is known of pictures, texts and pairs: from the store, or learnt and put there."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._known: dict[str, dict[str, Vector]] = {}

    @property
    def known(self) -> Known:
        """All that was recalled or learnt."""
        return self._known

    def features(self, view: View, picture: Picture) -> Vector:
        """(D,) as the view's network gave it."""
        return self._known[view.recipe][view.key(picture)]

    def stack(self, view: View, pictures: Sequence[Picture]) -> Vector:
        """(N, D) as the view's network gave them."""
        return np.stack([self.features(view, picture) for picture in pictures])

    def distance(self, comparison: Comparison, image: Picture, other: Picture) -> float:
        return float(self._known[comparison.recipe][comparison.key(image, other)][0])

    def found(self, view: View, picture: Picture) -> bool | None:
        """Whether the subject was found; None for views of whole images."""
        if view.cutter is None:
            return None
        return view.cutter.found(self.finding(view.cutter, picture))

    def finding(self, cutter: Cutter, picture: Picture) -> Vector:
        """What the cutter remembers of a picture."""
        return self._known[cutter.findings][finding_key(picture)]

    def text(self, view: View, text: str) -> Vector:
        """(D,) of a text that was read."""
        return self._known[view.recipe][_text_key(text)]

    def recall(self, recipe: str, keys: Iterable[str]) -> None:
        """Take over what the store holds of them."""
        known = self._known.setdefault(recipe, {})
        known.update(self._store.get(recipe, (key for key in keys if key not in known)))

    def lacks(self, recipe: str, key: str) -> bool:
        return key not in self._known[recipe]

    def learn(self, recipe: str, vectors: Mapping[str, Vector]) -> None:
        self._store.put(recipe, vectors)
        self._known[recipe].update(vectors)


def observe(
    observed: Observed,
    pictures: Sequence[Picture],
    views: Sequence[View],
    pairs: Pairs,
    progress: Progress = silent,
    title: str = "Scoring",
) -> None:
    """Show every picture to every view, and compare the pairs, as far as that is not known yet.

    The first picture of a pair is one of ``pictures``. UserError for pictures that cannot be read;
    what came before them is kept.
    """
    for view in views:
        observed.recall(view.recipe, map(view.key, pictures))
        if view.cutter:
            observed.recall(view.cutter.findings, map(finding_key, pictures))
    for comparison, wanted in pairs.items():
        observed.recall(comparison.recipe, (comparison.key(*pair) for pair in wanted))
        if comparison.cutter:
            seen = (finding_key(picture) for pair in wanted for picture in pair)
            observed.recall(comparison.cutter.findings, seen)
    look = _Look(observed, views, pairs)
    unknown = [picture for picture in dict.fromkeys(pictures) if look.wants(picture)]
    with ThreadPoolExecutor(_cores()) as pool:
        for start in range(0, len(unknown), CHUNK):
            look.at(unknown[start : start + CHUNK], pool)
            progress(title, min(start + CHUNK, len(unknown)), len(unknown))


def read(observed: Observed, view: View, texts: Iterable[str]) -> None:
    """Show every distinct text to the view's encoder, as far as it is not known yet."""
    distinct = {_text_key(text): text for text in sorted(set(texts))}
    observed.recall(view.recipe, distinct)
    unread = {key: text for key, text in distinct.items() if observed.lacks(view.recipe, key)}
    if unread:
        rows = view.network.encode_texts(list(unread.values()))
        observed.learn(view.recipe, dict(zip(unread, rows, strict=True)))


class _Look:
    """One pass over pictures, some at a time."""

    def __init__(self, observed: Observed, views: Sequence[View], pairs: Pairs) -> None:
        self._observed, self._views = observed, views
        self._pairs = {
            comparison: _by_first(
                pair
                for pair in dict.fromkeys(wanted)
                if observed.lacks(comparison.recipe, comparison.key(*pair))
            )
            for comparison, wanted in pairs.items()
        }

    def wants(self, picture: Picture) -> bool:
        compared = any(picture in first for first in self._pairs.values())
        return compared or any(self._new(view, picture) for view in self._views)

    def at(self, pictures: Sequence[Picture], pool: ThreadPoolExecutor) -> None:
        """Decode these, and learn everything that is not known of them."""
        pairs = {
            comparison: [pair for picture in pictures for pair in first.get(picture, [])]
            for comparison, first in self._pairs.items()
        }
        others = (other for wanted in pairs.values() for _, other in wanted)
        needed = list(dict.fromkeys([*pictures, *others]))
        opened = dict(zip(needed, pool.map(lambda picture: picture.open(), needed), strict=True))
        for view in self._views:
            self._encode(view, [p for p in pictures if self._new(view, p)], opened, pool)
        for comparison, wanted in pairs.items():
            self._compare(comparison, wanted, opened)

    def _new(self, view: View, picture: Picture) -> bool:
        lacks = self._observed.lacks
        if view.cutter and lacks(view.cutter.findings, finding_key(picture)):
            return True
        return lacks(view.recipe, view.key(picture))

    def _encode(
        self, view: View, pictures: list[Picture], opened: "Opened", pool: ThreadPoolExecutor
    ) -> None:
        if not pictures:
            return
        shown = [opened[picture] for picture in pictures]
        if cutter := view.cutter:
            self._find(cutter, pictures, opened)
            findings = [self._observed.finding(cutter, picture) for picture in pictures]
            shown = list(map(cutter.show, shown, findings))
        rows = view.network.encode_images(list(pool.map(view.network.prepare, shown)))
        self._observed.learn(view.recipe, dict(zip(map(view.key, pictures), rows, strict=True)))

    def _compare(self, comparison: Comparison, pairs: list[Pair], opened: "Opened") -> None:
        if not pairs:
            return
        if comparison.cutter:
            self._find(comparison.cutter, [picture for pair in pairs for picture in pair], opened)
        told = comparison.network.distances([self._shown(comparison, p, opened) for p in pairs])
        vectors = {
            comparison.key(*pair): np.array([distance])
            for pair, distance in zip(pairs, told, strict=True)
        }
        self._observed.learn(comparison.recipe, vectors)

    def _shown(self, comparison: Comparison, pair: Pair, opened: "Opened") -> "tuple[Image, Image]":
        """A pair as it is compared: the second image is brought to the size of the first."""
        image, other = opened[pair[0]], opened[pair[1]]
        if cutter := comparison.cutter:
            known = [self._observed.finding(cutter, picture) for picture in pair]
            return cutter.show_pair(image, known[0], other, known[1])
        return image, other if other.size == image.size else other.resize(image.size, BICUBIC)

    def _find(self, cutter: Cutter, pictures: list[Picture], opened: "Opened") -> None:
        """Have the subject looked for, as far as that was not done yet."""
        distinct = {finding_key(picture): picture for picture in pictures}
        new = {k: p for k, p in distinct.items() if self._observed.lacks(cutter.findings, k)}
        if new:
            nouns = [picture.noun for picture in new.values()]
            told = cutter.find([opened[picture] for picture in new.values()], nouns)
            self._observed.learn(cutter.findings, dict(zip(new, told, strict=True)))


def _by_first(pairs: Iterable[Pair]) -> dict[Picture, list[Pair]]:
    groups: dict[Picture, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[0], []).append(pair)
    return groups


def _text_key(text: str) -> str:
    return identity(["text", text])


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
