"""Pictures: images that are known by their digest and opened only when somebody has to look."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from bench.api import Subject
from bench.identity import identity
from bench.references import open_reference
from bench.suites import Suite

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Picture:
    """An image by its digest; equal digests are the same picture."""

    digest: str
    open: "Callable[[], Image]" = field(compare=False)
    """The image as RGB. UserError when it cannot be read."""
    noun: str = ""
    """What to look for in it, where only a region of it is looked at."""


def identity_of(pictures: Iterable[Picture]) -> str:
    """Identity of a set of pictures, whatever their order."""
    return identity(sorted(picture.digest for picture in pictures))


Photographs = Callable[[str], Mapping[str, Picture]]
"""Subject directory to its reference images by file name, in the suite's order."""


class Gallery:
    """A suite's reference images."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite

    def __call__(self, subject: str) -> Mapping[str, Picture]:
        return self._pictures[subject]

    @cached_property
    def _pictures(self) -> dict[str, dict[str, Picture]]:
        return {subject.directory: self._of(subject) for subject in self.suite.subjects}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {image.path: image.sha256 for image in self.suite.images}

    def _of(self, subject: Subject) -> dict[str, Picture]:
        return {
            file: Picture(
                digest=self._digests[f"{subject.directory}/{file}"],
                open=partial(open_reference, self.suite, subject, file),
                noun=subject.class_noun,
            )
            for file in subject.references
        }
