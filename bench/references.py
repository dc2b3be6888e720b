"""A suite's reference images as they lie on this machine: where, and whether they are the ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api import Subject
from bench.errors import UserError, unknown
from bench.identity import file_digest
from bench.paths import home
from bench.suites import Suite

if TYPE_CHECKING:
    from PIL.Image import Image


def open_reference(suite: Suite, subject: Subject, file: str) -> Image:
    """A reference image as RGB: upright, transparency on white.

    UserError when the data set is missing or the file is not the one the suite was frozen with.
    """
    if suite.source == "mini":
        from bench.mini.suite import render_suite_reference

        return render_suite_reference(suite, subject, file)
    from bench import pictures

    return pictures.read(_checked(suite, f"{subject.directory}/{file}"))


def is_file_of(digest: str, path: Path) -> bool:
    """Whether a file has the digest that ``ImageFile.sha256`` gives it."""
    kind, _, blob = digest.rpartition(":")
    if kind != "git":
        return file_digest(path) == digest
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest() == blob


def owner(suite: Suite) -> str:
    """The name of the suite whose image files these are."""
    return (suite.images_of or suite.name).partition("@")[0]


def image_folder(suite: Suite) -> Path:
    """Where the suite's image files lie on this machine, once added."""
    return home() / "data" / owner(suite)


def _checked(suite: Suite, path: str) -> Path:
    """The file on this machine, which must be the one the suite was frozen with."""
    file = image_folder(suite) / path
    expected = {image.path: image.sha256 for image in suite.images}
    if path not in expected:
        raise unknown(f"reference image of {suite.key}", path, expected)
    if not file.exists():
        raise UserError(_missing(suite))
    if not is_file_of(expected[path], file):
        raise UserError(
            f"The reference image {file} is not the one of {suite.key}; see what is wrong with "
            f"'bench data verify {suite.name}' and add the data set again."
        )
    return file


def _missing(suite: Suite) -> str:
    megabytes = sum(image.bytes for image in suite.images) / 1e6
    return (
        f"The images of {suite.key} are not in {image_folder(suite)}; add your copy with "
        f"'bench data add {owner(suite)} DIR' or download it with 'bench data fetch "
        f"{owner(suite)}' ({megabytes:.0f} MB, {suite.licence})."
    )
