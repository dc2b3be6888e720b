"""Scoring in one pass: every image decoded once, every encoder once over it, rows out."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bench import registry
from bench.api import Case, Encoder, Metric, Progress, Row, Scored, silent
from bench.errors import UserError
from bench.protocols import MetricSpec, Protocol
from bench.results import Aggregate, estimate

if TYPE_CHECKING:
    from bench.api import Embeddings

    Gallery = Mapping[str, Embeddings]

CHUNK = 64
"""Images held in memory at a time."""

Drawn = tuple[Case, Path, str]
"""A case, the PNG that answers it, and the SHA-256 of that file."""
References = Callable[[str], Mapping[str, Image.Image]]
"""Subject directory to its reference images by file name."""


@dataclass(frozen=True)
class Judge:
    """A metric of a protocol, ready to use."""

    spec: MetricSpec
    metric: Metric
    encoder: Encoder

    def counted(self, subject: str, photographs: "Gallery", given: str) -> "Embeddings":
        """(R, D) embeddings of the references that count. UserError when none is left."""
        if self.metric.needs_text:
            return np.zeros((0, 0), np.float32)
        kept = {
            "all": sorted(photographs),
            "input": [given],
            "all-but-input": sorted(photographs.keys() - {given}),
        }[self.spec.references]
        if not kept:
            raise UserError(
                f"'{self.spec.metric}' counts the references '{self.spec.references}', and "
                f"{subject} has none of them: choose a protocol that counts 'all'."
            )
        return np.stack([photographs[file] for file in kept])


def judges(protocol: Protocol) -> list[Judge]:
    """The protocol's metrics; metrics that name the same encoder share it."""
    encoders: dict[str, Encoder] = {
        name: registry.load("encoder", name)()
        for name in dict.fromkeys(spec.encoder for spec in protocol.metrics)
    }
    return [
        Judge(spec, registry.load("metric", spec.metric)(), encoders[spec.encoder])
        for spec in protocol.metrics
    ]


def score(
    images: Sequence[Drawn],
    references: References,
    protocol: Protocol,
    progress: Progress = silent,
) -> list[Row]:
    """One row per image and metric, by subject, prompt and seed, whatever the order of ``images``.

    UserError for images that cannot be decoded and for encoders that are not there.
    """
    table = judges(protocol)
    encoders = {judge.spec.encoder: judge.encoder for judge in table}
    ordered = sorted(images, key=lambda drawn: _place(drawn[0]))
    cases = [case for case, _, _ in ordered]
    texts, known = _texts(table, cases), _photographs(table, cases, references)
    rows: list[Row] = []
    for start in range(0, len(ordered), CHUNK):
        progress("Scoring", start, len(ordered))
        chunk = ordered[start : start + CHUNK]
        pictures = [_decoded(path) for _, path, _ in chunk]
        embedded = {name: encoder.encode_images(pictures) for name, encoder in encoders.items()}
        for index, (case, _, sha256) in enumerate(chunk):
            given = protocol.input_references[case.subject]
            for judge in table:
                name = judge.spec.encoder
                item = Scored(
                    image=embedded[name][index],
                    references=judge.counted(case.subject, known[name, case.subject], given),
                    text=texts.get((name, case.prompt)),
                )
                rows.append(_row(case, judge, item, sha256))
    progress("Scoring", len(ordered), len(ordered))
    return rows


def aggregates(rows: Sequence[Row], protocol: Protocol) -> dict[str, Aggregate]:
    """Every metric's mean and interval with the definition of the number, from rows alone.

    ValueError when a metric of the protocol has no rows.
    """
    return {
        judge.spec.metric: Aggregate(
            **estimate(rows, judge.spec.metric).model_dump(),
            higher_is_better=judge.metric.higher_is_better,
            unit=judge.metric.unit,
            metric_version=judge.metric.version,
            encoder=judge.spec.encoder,
            encoder_digest=judge.encoder.digest,
            references="none" if judge.metric.needs_text else judge.spec.references,
        )
        for judge in judges(protocol)
    }


def _place(case: Case) -> tuple[str, int, int]:
    return case.subject, case.prompt_index, case.seed


def _row(case: Case, judge: Judge, item: Scored, sha256: str) -> Row:
    return Row(
        subject=case.subject,
        prompt_index=case.prompt_index,
        prompt=case.prompt,
        seed=case.seed,
        metric=judge.spec.metric,
        value=judge.metric.score(item),
        image_sha256=sha256,
    )


def _texts(table: Sequence[Judge], cases: Sequence[Case]) -> "dict[tuple[str, str], Embeddings]":
    """Every distinct prompt once per encoder that some metric wants it from."""
    prompts = sorted({case.prompt for case in cases})
    readers = {judge.spec.encoder: judge.encoder for judge in table if judge.metric.needs_text}
    return {
        (name, prompt): row
        for name, encoder in readers.items()
        for prompt, row in zip(prompts, encoder.encode_texts(prompts), strict=True)
    }


def _photographs(
    table: Sequence[Judge], cases: Sequence[Case], references: References
) -> "dict[tuple[str, str], Gallery]":
    """Every reference of the subjects once per encoder that some metric wants it from."""
    lookers = {j.spec.encoder: j.encoder for j in table if not j.metric.needs_text}
    known: dict[tuple[str, str], Gallery] = defaultdict(dict)
    for subject in sorted({case.subject for case in cases}):
        photographs = references(subject)
        for name, encoder in lookers.items():
            rows = encoder.encode_images(list(photographs.values()))
            known[name, subject] = dict(zip(photographs, rows, strict=True))
    return known


def _decoded(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise UserError(
            f"The image {path} cannot be decoded; run the same command again to make it anew."
        ) from error
