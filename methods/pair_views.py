"""What there is to see of pairs: figures of how alike they are, and a sheet of some of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.api import Progress, Workspace, silent
from bench.errors import UserError
from bench.kept_pairs import said
from bench.methods.corpora import Corpus, load_corpus
from bench.methods.pair_folder import PairFolder
from bench.methods.pair_sheet import Candidate, Row, Source, draw_sheet
from bench.methods.similarity import Similarity, similarities

QUANTILES = (0.05, 1 / 3, 0.5, 2 / 3, 0.95)
"""Those at a third and at two thirds part the terciles of pair difficulty."""


@dataclass(frozen=True)
class View:
    """Pairs, and how alike each candidate is."""

    pairs: PairFolder
    measured: Sequence[Similarity]

    @property
    def of_triplet(self) -> dict[int, list[Similarity]]:
        found: dict[int, list[Similarity]] = {}
        for one in self.measured:
            found.setdefault(one.index, []).append(one)
        return found


def look(
    folders: Sequence[Path],
    judge: str | None,
    rows: int,
    out: Path,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write a sheet of pairs and return their figures.

    ``judge``: the encoder to measure with; default: the one that the pairs' backbone trains by.
    Rows are triplets that all folders hold, spread evenly from the most to the least alike in the
    first. UserError when they hold none in common or were made from different corpora.
    """
    opened = [PairFolder(folder) for folder in folders]
    corpus = _corpus(opened)
    judge = judge or _judge(opened[0])
    views = [
        View(pairs, similarities(pairs, corpus, judge, _space(pairs, progress))) for pairs in opened
    ]
    chosen = _spread(views, rows)
    sources = [Source(_lines(view), [o.to_target for o in view.measured]) for view in views]
    picture = draw_sheet([_row(corpus, views, index) for index in chosen], sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    picture.save(out)
    figures = [_figures(view) for view in views]
    return {"sheet": str(out), "judge": judge, "pairs": figures, "shown": chosen}


def _corpus(opened: Sequence[PairFolder]) -> Corpus:
    """The one that all were made from, as it was then."""
    made_from = {pairs.manifest["specification"]["corpus"] for pairs in opened}
    corpus = load_corpus(opened[0].manifest["corpus"])
    if made_from != {corpus.identity}:
        raise UserError(
            f"Not all of these pairs were made from the corpus {opened[0].manifest['corpus']} as "
            "it is here; show them one by one, and make those anew whose corpus has changed."
        )
    return corpus


def _judge(pairs: PairFolder) -> str:
    judge = pairs.manifest.get("judge")
    if not judge:
        raise UserError(f"{pairs.folder} names no encoder to measure with; give one by --judge.")
    return str(judge)


def _space(pairs: PairFolder, progress: Progress) -> Workspace:
    return Workspace(pairs.folder, pairs.folder.parent.parent, lambda event: None, progress)


def _spread(views: Sequence[View], rows: int) -> list[int]:
    """Triplets of every view, evenly from the most to the least alike in the first."""
    shared = set.intersection(*(set(view.of_triplet) for view in views))
    if not shared:
        raise UserError("These pairs have no triplet in common; show them one by one.")
    alike = {index: _mean(view_of) for index, view_of in views[0].of_triplet.items()}
    falling = sorted(shared, key=lambda index: (-alike[index], index))
    places = np.linspace(0, len(falling) - 1, min(rows, len(falling))).round().astype(int)
    return [falling[place] for place in places]


def _mean(candidates: Iterable[Similarity]) -> float:
    return float(np.mean([one.to_target for one in candidates]))


def _row(corpus: Corpus, views: Sequence[View], index: int) -> Row:
    triplet = corpus[index]
    candidates = [
        Candidate(view.pairs.opener(index, one.draw)(), number, one)
        for number, view in enumerate(views)
        for one in view.of_triplet[index]
    ]
    return Row(triplet.prompt, triplet.reference, triplet.target, candidates)


def _lines(view: View) -> list[str]:
    source, _, details = said(view.pairs.manifest["specification"]["source"]).partition(": ")
    return [f"{source} ({view.pairs.folder.name[:8]})", details]


def _figures(view: View) -> dict[str, Any]:
    """Means and quantiles of cosines over all candidates."""
    to_target = np.array([one.to_target for one in view.measured])
    to_reference = np.array([one.to_reference for one in view.measured])
    quantiles = np.quantile(to_target, QUANTILES)
    return {
        "folder": str(view.pairs.folder),
        "source": said(view.pairs.manifest["specification"]["source"]),
        "n": len(to_target),
        "to_positive": float(to_target.mean()),
        "to_reference": float(to_reference.mean()),
        "quantiles": {
            f"{q:.2f}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)
        },
    }
