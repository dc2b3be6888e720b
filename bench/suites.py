"""Suites as read from ``datasets/<name>/<version>/``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.api import Frozen, Inside, Later, Subject
from bench.documents import MALFORMED, toml_of
from bench.errors import UserError, unknown
from bench.paths import datasets_folder, home, own_suites

TEXT = r"([^{}]|\{\{|\}\})*"
Template = Annotated[str, Field(pattern=rf"^{TEXT}(\{{\}}{TEXT})?$")]
"""Text with at most one ``{}``, and nothing else that ``str.format`` would obey."""


class ImageFile(Frozen):
    """A reference image: ``path`` is ``<subject>/<file>``.

    ``sha256`` and ``bytes`` are of the file, or of the raw RGB pixels where the suite draws it.
    Where nobody published a SHA-256 and a size, they are ``git:`` with git's SHA-1, and 0.
    """

    path: Inside
    sha256: str
    bytes: int


class World(Frozen):
    """Which subjects of the procedural world a drawn suite asks about."""

    seed: int
    split: Literal["train", "validation", "test"]
    count: int


class Piece(Frozen):
    """A file of an official download; ``path`` is its place in what is added."""

    path: Inside
    url: str
    bytes: int
    """As its place says it, which may be rounded."""
    sha256: str
    """Empty where nobody published it."""


class Download(Frozen):
    """What is known of a suite that is read from its official download."""

    title: str
    licence: str
    url: str
    """What to get by hand; the address, where it is a single file."""
    subjects: int
    prompts: int
    """Of all subjects together."""
    sha256: str = ""
    bytes: int = 0
    """Of a single file, as in ``Piece``."""
    files: tuple[Piece, ...] = ()
    """All of them (``download.tsv``), where they are more than one."""
    table: bool = False
    """A table of images to be edited, and no more: the rest ships."""
    needs: str | None = None
    """The suite whose photographs these are, which is fetched first."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is fetched."""
        name = PurePosixPath(self.url).name
        alone = Piece(path=name, url=self.url, bytes=self.bytes, sha256=self.sha256)
        return self.files or (alone,)


class NotHere(UserError):
    """The official download that a suite is read from was not added yet."""


class Suite(Later):
    """A benchmark: who is asked for, in which prompts, and what the subjects really look like.

    Prompts are templates with one ``{}`` where the subject's name stands, or with none.
    """

    later = frozenset({"prompts", "images_of", "sources"})

    name: str
    version: int
    title: str
    source: Literal["files", "mini", "download"]
    default_backbone: str
    headline: str
    licence: str
    citation: str
    world: World | None
    subjects: tuple[Subject, ...]
    prompts_object: tuple[Template, ...]
    prompts_live: tuple[Template, ...]
    images: tuple[ImageFile, ...]
    prompts: dict[str, tuple[Template, ...]] | None = None
    """Subject to its own templates (``prompts.tsv``), where they are not those of its kind."""
    images_of: Inside | None = None
    """The suite whose image files these are, so that they are kept once."""
    sources: dict[str, tuple[ImageFile, ...]] | None = None
    """Subject to the images to be edited, one for each of its prompts, in a suite of edits."""

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


def load_suite(key: str) -> Suite:
    """The suite ``name@version``, or the latest version of ``name``.

    UserError for one that does not exist, is damaged, or is no longer what was frozen.
    """
    folders = {f"{folder.parent.name}@{folder.name}": folder for folder in _folders()}
    return read_suite(folders[pick_version("suite", key, folders)])


def list_suites() -> list[Suite]:
    """Every suite in every version whose specification is here, by name and version."""
    found = []
    for folder in _folders():
        with suppress(NotHere):
            found.append(read_suite(folder))
    return found


def list_downloads() -> dict[str, Download]:
    """Every suite that is read from its official download, by key, whether that is here or not."""
    found = {f"{folder.parent.name}@{folder.name}": _download(folder) for folder in _folders()}
    return {key: known for key, known in found.items() if known}


def named_download(wanted: str) -> str | None:
    """The key of the suite that is read from its official download, where ``wanted`` is one."""
    keys = {key for key in list_downloads() if wanted in (key, key.partition("@")[0])}
    return pick_version("suite", wanted, keys) if keys else None


def suite_folder(suite: Suite) -> Path:
    """Where the suite is specified."""
    part = Path(suite.name) / str(suite.version)
    own = own_suites() / part
    return own if own.is_dir() else datasets_folder() / part


def prompts_for(suite: Suite, subject: Subject) -> tuple[str, ...]:
    """The templates this subject is asked with; a prompt's index counts in them."""
    if suite.prompts is not None:
        return suite.prompts[subject.directory]
    return suite.prompts_live if subject.live else suite.prompts_object


def pick_version(kind: str, wanted: str, keys: Iterable[str]) -> str:
    """The ``name@version`` among ``keys`` that is wanted; a bare name means its latest version."""
    versions = {key: int(key.partition("@")[2]) for key in keys}
    if wanted in versions:
        return wanted
    same = [key for key in versions if key.partition("@")[0] == wanted]
    if not same:
        named = "@" in wanted
        raise unknown(kind, wanted, {key if named else key.partition("@")[0] for key in versions})
    return max(same, key=versions.__getitem__)


def read_suite(folder: Path) -> Suite:
    """The suite in ``<name>/<version>/``, checked against the digest it was frozen with."""
    with _readable(folder):
        suite = _parse(folder)
        frozen = _tables(folder) / "digest.txt"
        digest = frozen.read_text(encoding="utf-8").strip() if frozen.exists() else None
    if digest is None:
        raise UserError(
            f"The suite in {folder} has no digest.txt; if it is new, freeze it with "
            "bench.suites.freeze, otherwise restore the file."
        )
    if digest != suite.identity:
        raise UserError(
            f"The suite {suite.key} in {folder} was changed, but a suite is frozen: restore its "
            f"files, and put the change into a new version ({suite.name}@{suite.version + 1})."
        )
    return suite


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except MALFORMED as error:
        raise UserError(
            f"The suite in {folder} cannot be read ({type(error).__name__}); restore the folder "
            "from version control or install the package again."
        ) from error


def freeze(folder: Path) -> None:
    """Write a new suite's digest; UserError when another one is there already."""
    if not (folder / "digest.txt").exists():
        (folder / "digest.txt").write_text(_parse(folder).identity + "\n")
    read_suite(folder)


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a tab-separated file; quotation marks are text."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _folders() -> list[Path]:
    places = (datasets_folder(), own_suites())
    found = (path.parent for place in places for path in place.glob("*/*/suite.toml"))
    numbered = (folder for folder in found if folder.name.isdecimal())
    return sorted(numbered, key=lambda folder: (folder.parent.name, int(folder.name)))


def _stated(folder: Path) -> dict[str, Any]:
    return toml_of(folder / "suite.toml")


def _download(folder: Path) -> Download | None:
    table = folder / "download.tsv"
    with _readable(folder):
        said = _stated(folder)
        if "download" not in said:
            return None
        return Download(
            title=said["title"],
            licence=said["licence"],
            files=tuple(map(Piece.model_validate, read_table(table) if table.is_file() else ())),
            **{"needs": said.get("images_of"), **said["download"]},
        )


def _tables(folder: Path) -> Path:
    """Where the tables of a suite are: beside its ``suite.toml``, or with the user's download."""
    return home() / "data" / folder.parent.name if "download" in _stated(folder) else folder


def _parse(folder: Path) -> Suite:
    return parse_suite(folder, _tables(folder))


def parse_suite(specified: Path, folder: Path) -> Suite:
    """The suite that ``specified/suite.toml`` and the tables in ``folder`` make up, unchecked."""
    stated = {"world": None, **_stated(specified)}
    download = stated.pop("download", None)
    if download and not folder.is_dir():
        name = specified.parent.name
        raise NotHere(
            f"{name}@{specified.name} is read from its official download, which is not here: run "
            f"'bench data fetch {name}', or get {download['url']} ({stated['licence']}) and run "
            f"'bench data add {name} PATH' with it."
        )
    images = tuple(ImageFile.model_validate(row) for row in read_table(folder / "images.tsv"))
    references = _references(images)
    return Suite(
        **stated,
        name=specified.parent.name,
        version=int(specified.name),
        subjects=tuple(_subject(row, references) for row in read_table(folder / "subjects.tsv")),
        prompts_object=_lines(folder / "prompts_object.txt"),
        prompts_live=_lines(folder / "prompts_live.txt"),
        images=images,
        prompts=_own_prompts(folder / "prompts.tsv"),
        sources=_sources(folder / "sources.tsv"),
    )


def _sources(path: Path) -> dict[str, tuple[ImageFile, ...]] | None:
    """In the order of prompts; a path is ``<subject>/<file>``."""
    if not path.exists():
        return None
    sources: dict[str, tuple[ImageFile, ...]] = {}
    for row in read_table(path):
        subject = row["path"].partition("/")[0]
        sources[subject] = (*sources.get(subject, ()), ImageFile.model_validate(row))
    return sources


def _own_prompts(path: Path) -> dict[str, tuple[str, ...]] | None:
    """Columns ``directory`` and ``template``; a prompt's index counts in its subject's lines."""
    if not path.exists():
        return None
    prompts: dict[str, tuple[str, ...]] = {}
    for row in read_table(path):
        prompts[row["directory"]] = (*prompts.get(row["directory"], ()), row["template"])
    return prompts


def _references(images: tuple[ImageFile, ...]) -> dict[str, list[str]]:
    """Directory to its files, in their order."""
    references: dict[str, list[str]] = {}
    for image in images:
        directory, file = image.path.split("/")
        references.setdefault(directory, []).append(file)
    return references


def _subject(row: dict[str, Any], references: dict[str, list[str]]) -> Subject:
    return Subject(**row, references=tuple(references.get(row["directory"], ())))


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
