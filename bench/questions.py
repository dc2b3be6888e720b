"""Questions: cases with the images that belong to them opened."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from bench.api import Case, Question
from bench.editing import open_source
from bench.gallery import Gallery

if TYPE_CHECKING:
    from PIL.Image import Image

OPENED = 8
"""Photographs kept open, subject after subject."""


class Questions:
    """Asks the cases of one suite. UserError for images that are not here or were changed."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._photograph = lru_cache(OPENED)(self._open)

    def __call__(self, case: Case) -> Question:
        photograph = self._photograph(case.subject, case.reference) if case.reference else None
        return Question(case, photograph, self._source(case))

    def _open(self, subject: str, file: str) -> Image:
        return self._gallery(subject)[file].open()

    def _source(self, case: Case) -> Image | None:
        suite = self._gallery.suite
        if suite.sources is None:
            return None
        return open_source(suite, case.subject, case.prompt_index)
