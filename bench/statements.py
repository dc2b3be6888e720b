"""A protocol field by field: what each is, in words, and where that is stated."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bench import registry
from bench.api import Frozen
from bench.errors import UserError
from bench.protocols import MetricSpec, Protocol
from bench.suites import Suite, prompts_for

NAMES = {"class_noun": "class noun", "descriptive_name": "descriptive name"}
TEXTS = {
    "prompt": "the prompt as asked, with the {name}",
    "class_noun": "the prompt with the class noun as the name",
    "template": "the template with its {} left in",
}
REFERENCES = {
    "all": "all photographs of the subject",
    "input": "the one photograph given to the method",
    "all-but-input": "all photographs but the one given to the method",
    "fixed": "the protocol's one fixed photograph",
}
AGAINST = {
    "sources": "the image that was to be edited",
    "vanilla": "the image that the backbone makes of the same prompt without the subject",
}
ALIASES = {"input_reference": "input_references", "fixed_reference": "fixed_references"}
"""Fields that a file and the protocol read from it call differently."""


@dataclass(frozen=True)
class Nature:
    """What a metric is, whatever it looks through."""

    version: int
    kind: str
    reads_text: bool
    among_siblings: bool


class Statement(Frozen):
    """What one field of a protocol is. Fields of a metric are called ``METRIC.FIELD``."""

    field: str
    words: str
    source: str | None = None
    """Where it is stated."""
    choice: str | None = None
    """Why it is so, where the source leaves it open."""
    each: dict[str, str] | None = None
    """Subject to file, where every subject has a photograph of its own."""

    @property
    def ground(self) -> str | None:
        """What the field rests on, source or choice; None where nothing is said."""
        parts = (self.source, self.choice and f"choice: {self.choice}")
        return "; ".join(part for part in parts if part) or None


def statements(suite: Suite, protocol: Protocol) -> list[Statement]:
    """Every field, in the order in which a suite is asked, drawn and scored."""
    return [
        _grounded(protocol, statement)
        for statement in (
            *_asking(suite, protocol),
            *_drawing(protocol),
            *_scoring(protocol),
            *(field for spec in protocol.metrics for field in _of_metric(suite, protocol, spec)),
        )
    ]


def in_words(spec: MetricSpec) -> str:
    """A metric with all that defines it, in one line."""
    told = [_definition(spec), f"encoder {spec.encoder}"]
    if looks_at_photographs(spec):
        told.append(REFERENCES[spec.references])
    if spec.against != "references":
        told.append(f"against {AGAINST[spec.against]}")
    if spec.region != "whole":
        told.append(f"region {spec.region}")
    return "; ".join([*told, spec.precision])


def reads_text(spec: MetricSpec) -> bool:
    """Whether images are held against their text."""
    nature = _nature(spec)
    return nature is not None and nature.reads_text


def among_siblings(spec: MetricSpec) -> bool:
    """Whether the images of one prompt are held against each other."""
    nature = _nature(spec)
    return nature is not None and nature.among_siblings


def looks_at_photographs(spec: MetricSpec) -> bool:
    """Whether images are held against photographs, so that ``references`` means something."""
    return looks_at_others(spec) and spec.against == "references"


def looks_at_others(spec: MetricSpec) -> bool:
    """Whether images are held against others, so that ``against`` means something."""
    return not reads_text(spec) and not among_siblings(spec)


def keys_of(field: str) -> tuple[str, ...]:
    """Under which ``sources`` and ``choices`` may speak of a field, the most special first."""
    owner, dot, part = field.rpartition(".")
    if not dot:
        return (field, ALIASES.get(field, field))
    if owner == "sampling":
        return (field, owner)
    return (field, f"metrics.{field}", owner, f"metrics.{owner}", f"metrics.{part}")


def _nature(spec: MetricSpec) -> Nature | None:
    """None for a metric that nothing answers to: `lint` finds it."""
    try:
        return _known(spec.metric)
    except UserError:
        return None


@cache
def _known(name: str) -> Nature:
    metric = registry.load("metric", name)
    return Nature(
        version=metric.version,
        kind=metric.kind,
        reads_text=metric.kind == "image" and metric(None).text("") is not None,
        among_siblings=metric.kind == "pair" and metric.others == "siblings",
    )


def _definition(spec: MetricSpec) -> str:
    nature = _nature(spec)
    return f"{spec.metric}@{nature.version}" if nature else f"{spec.metric}, not known here"


def _grounded(protocol: Protocol, statement: Statement) -> Statement:
    keys = keys_of(statement.field)
    of_metric = f"metrics.{statement.field}" in keys
    # One source may state all metrics; a choice of metrics says why these, and nothing of each.
    source = _first(protocol.sources, (*keys, "metrics") if of_metric else keys)
    choice = _first(protocol.choices, keys)
    return statement.model_copy(update={"source": source, "choice": choice})


def _first(said: Mapping[str, str], keys: Sequence[str]) -> str | None:
    return next((said[key] for key in keys if key in said), None)


def _asking(suite: Suite, protocol: Protocol) -> Iterator[Statement]:
    prompts = sum(len(prompts_for(suite, subject)) for subject in suite.subjects)
    size = f"{suite.key}: {len(suite.subjects)} subjects, {prompts} prompts"
    yield Statement(field="suite", words=size)
    yield Statement(field="name_in_prompt", words=NAMES[protocol.name_in_prompt])
    yield Statement(field="seeds", words=f"{protocol.seeds} per prompt")
    yield _photographs("input_reference", protocol.input_references)


def _drawing(protocol: Protocol) -> Iterator[Statement]:
    if not protocol.sampling:
        yield Statement(field="sampling", words="not stated")
    for key, words in protocol.sampling.items():
        yield Statement(field=f"sampling.{key}", words=words)


def _scoring(protocol: Protocol) -> Iterator[Statement]:
    if protocol.fixed_references is not None:
        yield _photographs("fixed_reference", protocol.fixed_references)
    yield Statement(field="scored_text", words=_scored_text(protocol))
    means = {"images": "over images", "subjects": "over subjects of the means over their images"}
    yield Statement(field="average", words=means[protocol.average])
    yield Statement(field="reported", words=protocol.reported)
    yield Statement(field="mini_weights", words="yes" if protocol.mini_weights else "no")
    yield Statement(field="metrics", words=", ".join(spec.key for spec in protocol.metrics))


def _scored_text(protocol: Protocol) -> str:
    # Not str.format: a template's own braces stay.
    return TEXTS[protocol.scored_text].replace("{name}", NAMES[protocol.name_in_prompt])


def _of_metric(suite: Suite, protocol: Protocol, spec: MetricSpec) -> Iterator[Statement]:
    fields = {"metric": _definition(spec), "encoder": spec.encoder}
    if looks_at_photographs(spec):
        fields["references"] = REFERENCES[spec.references]
    if spec.against != "references":
        fields["against"] = AGAINST[spec.against]
    fields |= {"region": spec.region, "precision": spec.precision}
    nature = _nature(spec)
    if nature and nature.kind == "set":
        fields["n"] = _sizes(suite, protocol, spec)
    for part, words in fields.items():
        yield Statement(field=f"{spec.key}.{part}", words=words)


def _sizes(suite: Suite, protocol: Protocol, spec: MetricSpec) -> str:
    """How many images a number about a set is made of, and how many others."""
    made = protocol.seeds * sum(len(prompts_for(suite, subject)) for subject in suite.subjects)
    if spec.against != "references":
        return f"{made} images against as many"
    photographs = sum(len(subject.references) for subject in suite.subjects)
    subjects = len(suite.subjects)
    counted = {"all": photographs, "all-but-input": photographs - subjects}
    return f"{made} images against {counted.get(spec.references, subjects)} photographs"


def _photographs(field: str, each: dict[str, str]) -> Statement:
    files = set(each.values())
    if len(files) == 1:
        words = f"{files.pop()} of every subject"
    else:
        words = ", ".join(f"{subject} {file}" for subject, file in each.items()) or "none"
    return Statement(field=field, words=words, each=each)
