"""The page: one document of data, which its script lays out, inside a frame that needs none."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.api import Case
from bench.editing import open_source
from bench.gallery import Gallery, Picture
from bench.names import parts
from bench.prompts import Prompts, read_prompts
from bench.report.figures import Figure
from bench.report.shelf import Shelf
from bench.report.tables import differences, scores
from bench.report.together import Entry, Together
from bench.sitting import place_of
from bench.standings import MINI

SITE = Path(__file__).parent / "site"
MARK = '<meta name="generator" content="subjectbench report">'
"""Tells a report's page from any other that may lie in its place."""
PARTIAL = "Partial: fewer subjects or seeds than the protocol asks for."
Question = tuple[str, int]
"""A subject and the index of one of its prompts."""


def document(shown: Together, shelf: Shelf) -> dict[str, Any]:
    """All that the script lays out; images are numbers of the shelf."""
    gallery = Gallery(shown.suite)
    asked: dict[Question, list[Case]] = defaultdict(list)
    for case in shown.cases:
        asked[case.subject, case.prompt_index].append(case)
    prompts = read_prompts(shown.suite)
    cards = [_card(shown, shelf, prompts, cases) for cases in asked.values()]
    return {
        "methods": [entry.label for entry in shown.entries],
        "metrics": [
            {"name": name, "higher": shown.metrics[name].higher_is_better}
            for name in shown.per_image
        ],
        "subjects": dict(_subjects(shown, shelf, gallery, {subject for subject, _ in asked})),
        "cards": cards,
        "pictures": shelf.addresses,
    }


def html(shown: Together, data: dict[str, Any], figures: Sequence[Figure], files: list[str]) -> str:
    """The page as text; whatever comes from outside is shown as text."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    results = [entry.result for entry in shown.entries]
    notes = [MINI] * any(result.mini_weights for result in results)
    notes += [PARTIAL] * any(result.limited for result in results)
    frame = Environment(loader=FileSystemLoader(SITE), autoescape=True, trim_blocks=True)
    frame.filters["parts"] = parts
    return frame.get_template("index.html").render(
        mark=Markup(MARK),
        result=shown.first.result,
        notes=notes,
        tables=[scores(shown), *([differences(shown)] if shown.differences else [])],
        entries=shown.entries,
        figures=figures,
        files=files,
        data=Markup(_inside_script(data)),
    )


def _inside_script(data: dict[str, Any]) -> str:
    """JSON in which no tag ends or begins."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _subjects(
    shown: Together, shelf: Shelf, gallery: Gallery, asked: set[str]
) -> Iterator[tuple[str, list[int]]]:
    """Every subject's photographs."""
    for subject in shown.suite.subjects:
        if subject.directory in asked:
            photographs = [shelf.picture(one) for one in gallery(subject.directory).values()]
            yield subject.directory, photographs


def _card(shown: Together, shelf: Shelf, prompts: Prompts, cases: Sequence[Case]) -> dict[str, Any]:
    """One subject and prompt: for every method its images by seed."""
    one = cases[0]
    return {
        "subject": one.subject,
        "index": one.prompt_index,
        "prompt": one.prompt,
        "template": prompts.prompt(place_of(one)),
        "kind": prompts.kind(place_of(one)),
        "source": _source(shown, shelf, one),
        "images": [
            [_image(shown, shelf, entry, case) for case in cases] for entry in shown.entries
        ],
    }


def _image(shown: Together, shelf: Shelf, entry: Entry, case: Case) -> dict[str, Any]:
    place = place_of(case)
    return {
        "picture": shelf.file(entry.image(case), entry.digests[place]),
        "seed": case.seed,
        "scores": [entry.values[name].get(place) for name in shown.per_image],
    }


def _source(shown: Together, shelf: Shelf, case: Case) -> int | None:
    """The image to be edited, in a suite of edits."""
    suite = shown.suite
    if suite.sources is None:
        return None
    digest = suite.sources[case.subject][case.prompt_index].sha256
    open_it = partial(open_source, suite, case.subject, case.prompt_index)
    return shelf.picture(Picture(digest, open_it))
