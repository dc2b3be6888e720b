"""Protocols: how a suite is asked and scored, read from ``<suite>/protocols/<name>@<v>.toml``."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from bench.api import Frozen
from bench.errors import UserError
from bench.suites import Suite, pick_version, read_table, suite_folder


class MetricSpec(Frozen):
    """A metric, the encoder it uses, and the reference images that count.

    ``input`` is the one image that the method was given. Metrics of text ignore ``references``.
    """

    metric: str
    encoder: str
    references: Literal["all", "input", "all-but-input"] = "all"


class Protocol(Frozen):
    """How a suite is asked and scored.

    ``seeds`` images are made for every prompt, with seeds 0, 1, ...; ``input_references`` maps
    every subject's directory to the image the method is given; with ``mini_weights`` the encoders
    are toys of the mini world, and no number is comparable with a published one.
    """

    suite: str
    name: str
    version: int
    description: str
    name_in_prompt: Literal["class_noun", "descriptive_name"]
    seeds: int
    input_references: dict[str, str]
    metrics: tuple[MetricSpec, ...]
    mini_weights: bool

    @property
    def key(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


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
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"The protocol {path} cannot be read: {error}.") from error


def _files(suite: Suite) -> dict[str, Path]:
    paths = (suite_folder(suite) / "protocols").glob("*@*.toml")
    return {path.stem: path for path in sorted(paths, key=_order)}


def _order(path: Path) -> tuple[str, int]:
    name, _, version = path.stem.partition("@")
    return name, int(version)


def _parse(suite: Suite, path: Path) -> Protocol:
    stated: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    inputs = _inputs(suite, path.parent, stated.pop("input_reference"))
    name, version = _order(path)
    return Protocol(**stated, suite=suite.key, name=name, version=version, input_references=inputs)


def _inputs(suite: Suite, folder: Path, stated: str) -> dict[str, str]:
    """One file name for every subject, or a table with a row per subject."""
    inputs = {subject.directory: stated for subject in suite.subjects}
    if stated.endswith(".tsv"):
        inputs = {row["directory"]: row["file"] for row in read_table(folder / stated)}
    for subject in suite.subjects:
        if inputs.get(subject.directory) not in subject.references:
            raise UserError(
                f"A protocol in {folder} names no input reference for {subject.directory} that "
                f"{suite.key} has; choose one of {', '.join(subject.references)}."
            )
    return {subject.directory: inputs[subject.directory] for subject in suite.subjects}
