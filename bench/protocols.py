"""Protocols: how a suite is asked and scored, read from ``<suite>/protocols/<name>@<v>.toml``."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from bench.api import Average, Later, Precision, Region
from bench.documents import MALFORMED, inside, toml_of
from bench.errors import UserError
from bench.suites import Suite, pick_version, read_table, suite_folder

References = Literal["all", "input", "all-but-input", "fixed"]
Against = Literal["references", "sources", "vanilla"]
ScoredText = Literal["prompt", "class_noun", "template"]


class MetricSpec(Later):
    """A metric, the encoder it uses, and the reference images that count.

    ``input`` is the one image that the method was given, ``fixed`` the protocol's
    ``fixed_references``. Metrics of text ignore ``references``. The encoder sees a ``region`` of
    every image: all of it, the detected box, the subject without its background, or the background
    without its subject. Images are held ``against`` references, or against one image of the same
    case: the one to be edited, or the one that the same backbone makes without the subject.
    """

    later = frozenset({"region", "precision", "name", "against"})

    metric: str
    encoder: str
    references: References = "all"
    region: Region = "whole"
    precision: Precision = "fp32"
    name: str | None = None
    """What its numbers are called where ``metric`` alone would be ambiguous."""
    against: Against = "references"

    @property
    def key(self) -> str:
        """What the rows of this metric are called."""
        return self.name or self.metric


class Protocol(Later):
    """How a suite is asked and scored.

    ``seeds`` images are made for every prompt, with seeds 0, 1, ...; ``input_references`` maps
    every subject's directory to the image the method is given, and is empty for a suite without
    images (``input_reference = "none"``); with ``mini_weights`` the encoders are toys of the mini
    world, and no number is comparable with a published one. Numbers are means over ``images``, or
    over ``subjects`` of the means over their images.
    """

    later = frozenset(
        {"average", "fixed_references", "scored_text", "reported", "sampling", "sources", "choices"}
    )

    suite: str
    name: str
    version: int
    description: str
    name_in_prompt: Literal["class_noun", "descriptive_name"]
    seeds: int
    input_references: dict[str, str]
    metrics: tuple[MetricSpec, ...]
    mini_weights: bool
    average: Average = "images"
    fixed_references: dict[str, str] | None = None
    """Subject to the one image that metrics with ``references = "fixed"`` count."""
    scored_text: ScoredText = "prompt"
    """What metrics of text read: the prompt as asked, the prompt with the class noun in the name's
    place, or the template with its ``{}`` left in."""
    reported: str = "raw"
    """How its source prints the numbers, for readers of both; ours stay raw."""
    sampling: dict[str, str] = Field(default_factory=dict)
    """What its source says of how images are made: steps, guidance, seeds."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Field to where it is stated."""
    choices: dict[str, str] = Field(default_factory=dict)
    """Field that its source leaves open, to why it is what it is here."""

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        keys = [spec.key for spec in self.metrics]
        if len(keys) != len(set(keys)):
            raise ValueError("two metrics have one name; give one of them another 'name'")
        fixed = any(spec.references == "fixed" for spec in self.metrics)
        if fixed and self.fixed_references is None:
            raise ValueError("a metric counts the fixed reference, but no 'fixed_reference' is set")
        return self


def load_protocol(suite: Suite, key: str | None = None) -> Protocol:
    """The suite's protocol ``name@version``, the latest of ``name``, or the headline protocol.

    UserError for one that does not exist or cannot be read.
    """
    files = _files(suite)
    found = pick_version(f"protocol of {suite.key}", key or suite.headline, files)
    return read_protocol(suite, files[found])


def list_protocols(suite: Suite) -> list[Protocol]:
    """Every protocol of the suite, by name and version."""
    return [read_protocol(suite, path) for path in _files(suite).values()]


def read_protocol(suite: Suite, path: Path) -> Protocol:
    """The protocol in ``<name>@<version>.toml``, complete and checked against its suite."""
    try:
        return _parse(suite, path)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The protocol {path} is wrong at '{where}': {first['msg']}.") from error
    except MALFORMED as error:
        raise UserError(f"The protocol {path} cannot be read: {error}.") from error


def _files(suite: Suite) -> dict[str, Path]:
    paths = (suite_folder(suite) / "protocols").glob("*@*.toml")
    return {path.stem: path for path in sorted(paths, key=_order)}


def _order(path: Path) -> tuple[str, int]:
    name, _, version = path.stem.partition("@")
    return name, int(version)


def _parse(suite: Suite, path: Path) -> Protocol:
    stated: dict[str, Any] = toml_of(path)
    given = _one_each(suite, path.parent, stated.pop("input_reference"))
    if "fixed_reference" in stated:
        fixed = _one_each(suite, path.parent, stated.pop("fixed_reference"))
        stated["fixed_references"] = fixed
    name, version = _order(path)
    return Protocol(**stated, suite=suite.key, name=name, version=version, input_references=given)


def _one_each(suite: Suite, folder: Path, stated: str) -> dict[str, str]:
    """One file name for every subject, a table with a row per subject, or "none" where none is."""
    if stated == "none" and not suite.images:
        return {}
    files = {subject.directory: stated for subject in suite.subjects}
    if stated.endswith(".tsv"):
        files = {row["directory"]: row["file"] for row in read_table(folder / inside(stated))}
    for subject in suite.subjects:
        if files.get(subject.directory) not in subject.references:
            raise UserError(
                f"A protocol in {folder} names no input reference for {subject.directory} that "
                f"{suite.key} has; choose one of {', '.join(subject.references) or 'none'}."
            )
    return {subject.directory: files[subject.directory] for subject in suite.subjects}
