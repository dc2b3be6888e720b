"""What a protocol leaves open: by name, so that a number made with it means one thing."""

from collections.abc import Callable, Collection, Iterator

from bench import registry
from bench.api import Frozen, Region
from bench.errors import unknown
from bench.protocols import MetricSpec, Protocol
from bench.registry import Kind
from bench.statements import (
    among_siblings,
    keys_of,
    looks_at_others,
    looks_at_photographs,
    reads_text,
    statements,
)
from bench.suites import Suite


class Finding(Frozen):
    """One thing that a protocol leaves open, by its rule's name."""

    suite: str
    protocol: str
    rule: str
    sentence: str

    @property
    def line(self) -> str:
        """The finding as it is printed."""
        return f"{self.suite}/{self.protocol}: {self.sentence} [{self.rule}]"


def lint(suite: Suite, protocol: Protocol, ignore: Collection[str] = ()) -> list[Finding]:
    """All findings, by rule; empty for a protocol that leaves nothing open.

    UserError for rules to ``ignore`` that there are not.
    """
    for name in ignore:
        if name not in RULES:
            raise unknown("rule", name, RULES)
    return [
        Finding(suite=suite.key, protocol=protocol.key, rule=rule, sentence=sentence)
        for rule, check in RULES.items()
        if rule not in ignore
        for sentence in check(suite, protocol)
    ]


def _unknown_name(suite: Suite, protocol: Protocol) -> Iterator[str]:
    kinds: tuple[Kind, ...] = ("metric", "encoder", "region")
    known = {kind: registry.names(kind).keys() | {"whole"} for kind in kinds}
    for spec in protocol.metrics:
        for kind in kinds:
            if (name := getattr(spec, kind)) not in known[kind]:
                yield f"'{spec.key}' needs the {kind} '{name}', and nothing is registered as that."


def _unstated(suite: Suite, protocol: Protocol) -> Iterator[str]:
    told = (said for said in statements(suite, protocol) if _matters(said.field, protocol))
    silent = [said.field for said in told if said.ground is None]
    if silent:
        yield (
            f"neither source nor choice for {', '.join(silent)}: say in [sources] where each is "
            "stated, or in [choices] why it is so."
        )


def _matters(field: str, protocol: Protocol) -> bool:
    """Whether a field has to be stated: those at a value that says nothing need not be."""
    owner, dot, part = field.rpartition(".")
    if field in ("suite", "mini_weights", "metrics"):
        return False
    if field == "reported":
        return protocol.reported != "raw"
    if field == "scored_text":
        return any(reads_text(spec) for spec in protocol.metrics)
    if not dot or owner == "sampling":
        return True
    spec = next(spec for spec in protocol.metrics if spec.key == owner)
    return {"region": spec.region != "whole", "precision": spec.precision != "fp32"}.get(part, True)


def _stray_statement(suite: Suite, protocol: Protocol) -> Iterator[str]:
    fields = {said.field for said in statements(suite, protocol)} | {
        f"{spec.key}.{part}" for spec in protocol.metrics for part in MetricSpec.model_fields
    }
    known = {"sampling", *(key for field in fields for key in keys_of(field))}
    for where, said in (("sources", protocol.sources), ("choices", protocol.choices)):
        for key in said:
            if key not in known:
                yield f"[{where}] speaks of '{key}', which is no field of this protocol."


def _ungrounded_region(suite: Suite, protocol: Protocol) -> Iterator[str]:
    told = {_search(spec.region) for spec in protocol.metrics if spec.metric == "grounded"}
    for spec in protocol.metrics:
        if spec.region != "whole" and _search(spec.region) not in told:
            yield (
                f"'{spec.key}' looks at the region '{spec.region}', and nothing says in how many "
                f"images it was found: add the metric 'grounded' with that region."
            )


def _search(region: Region) -> str:
    """How a region is looked for: what one of mini's finds, all of them do."""
    return "mini" if region.startswith("mini-") else region


def _no_photograph(suite: Suite, protocol: Protocol) -> Iterator[str]:
    for spec in protocol.metrics:
        without = [
            subject.directory
            for subject in suite.subjects
            if looks_at_photographs(spec) and len(subject.references) < _least(spec)
        ]
        if without:
            yield (
                f"'{spec.key}' counts '{spec.references}' references, which leaves none for "
                f"{', '.join(without[:4])}{f' and {len(without) - 4} more' * (len(without) > 4)}."
            )


def _no_counterpart(suite: Suite, protocol: Protocol) -> Iterator[str]:
    for spec in protocol.metrics:
        if spec.against != "references" and not looks_at_others(spec):
            yield f"'{spec.key}' holds images against no others: remove against."
        elif spec.against == "sources" and suite.sources is None:
            yield (
                f"'{spec.key}' holds images against those to be edited, and {suite.key} has none: "
                "choose another 'against'."
            )


def _least(spec: MetricSpec) -> int:
    return 2 if spec.references == "all-but-input" else 1


def _lone_image(suite: Suite, protocol: Protocol) -> Iterator[str]:
    for spec in protocol.metrics:
        if among_siblings(spec) and protocol.seeds < 2:
            yield (
                f"'{spec.key}' compares the images of one prompt, and one seed makes only one of "
                "them: raise seeds to at least 2."
            )


def _literal_template(suite: Suite, protocol: Protocol) -> Iterator[str]:
    readers = [spec.key for spec in protocol.metrics if reads_text(spec)]
    if readers and protocol.scored_text == "template":
        yield (
            f"{', '.join(readers)} read the template with its {{}} left in, so that no number "
            "depends on the subject's name: it is no measure of prompt fidelity, but a way to "
            "repeat a published one."
        )


def _unused_reference(suite: Suite, protocol: Protocol) -> Iterator[str]:
    counted = any(spec.references == "fixed" for spec in protocol.metrics)
    if protocol.fixed_references is not None and not counted:
        yield "fixed_reference is set, and no metric counts it: remove it."


RULES: dict[str, Callable[[Suite, Protocol], Iterator[str]]] = {
    "unknown-name": _unknown_name,
    "unstated": _unstated,
    "stray-statement": _stray_statement,
    "ungrounded-region": _ungrounded_region,
    "no-photograph": _no_photograph,
    "no-counterpart": _no_counterpart,
    "lone-image": _lone_image,
    "literal-template": _literal_template,
    "unused-reference": _unused_reference,
}
