"""What is to be done: the cases of a run and the specification that is its identity."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field, JsonValue

from bench import registry
from bench.api import Case, Frozen, Method, Subject
from bench.errors import UserError
from bench.identity import identity
from bench.options import resolve
from bench.protocols import Protocol, list_protocols, load_protocol
from bench.suites import Suite, load_suite, prompts_for

NO_BACKBONE = "none"
"""Stands for the backbone of methods that draw without one."""


class Request(Frozen):
    """What the user asked for; None stands for the suite's, or the protocol's, own choice."""

    method: str
    suite: str
    protocol: str | None = None
    backbone: str | None = None
    options: dict[str, str] = Field(default_factory=dict)
    guidance: str | None = None
    limit_subjects: int | None = None
    seeds: int | None = None


class Plan(Frozen):
    """A request with every name resolved; nothing of it needs weights or images."""

    method: str
    backbone: str
    suite: Suite
    protocol: Protocol
    options: dict[str, JsonValue]
    cases: tuple[Case, ...]
    seeds: int
    limited: bool
    """Fewer subjects or seeds than the protocol asks for."""
    notice: str | None = None
    """Something the user did not ask for in so many words and has to know."""

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(case.subject for case in self.cases))

    @property
    def identity(self) -> str:
        """See ``Frozen``; cases follow from the rest, and may be too many to be spelled out."""
        told = self.model_dump(mode="json", exclude={"cases"})
        return identity({**told, "subjects": self.subjects})


class Specification(Frozen):
    """All that the images and the rows of a run follow from."""

    schema_version: int = 1
    suite: str
    suite_identity: str
    protocol: str
    protocol_identity: str
    encoders: dict[str, str]
    """Digests of the encoders' weights."""
    metrics: dict[str, int]
    """Versions of the metrics."""
    method: str
    method_revision: int
    options: dict[str, JsonValue]
    """Without those that name a file: its digest is among the inputs."""
    inputs: dict[str, str]
    backbone: str
    backbone_digest: str
    subjects: tuple[str, ...]
    seeds: int


def make_plan(request: Request) -> Plan:
    """Resolve every name. UserError for unknown ones, with the nearest that exist."""
    registry.require("method", request.method)
    suite = load_suite(request.suite)
    _demand_fit(suite, request.method)
    backbone = _backbone(suite, request)
    protocol, notice = _protocol(suite, request.protocol, backbone)
    seeds = _positive("--seeds", request.seeds) or protocol.seeds
    limit = _positive("--limit-subjects", request.limit_subjects) or len(suite.subjects)
    factory = registry.load("method", request.method)
    given = {**request.options, **_rule(request, factory.Options)}
    options = resolve(request.method, factory.Options, factory.overrides.get(backbone, {}), given)
    return Plan(
        method=request.method,
        backbone=backbone,
        suite=suite,
        protocol=protocol,
        options=options.model_dump(mode="json"),
        cases=make_cases(suite, protocol, suite.subjects[:limit], seeds),
        seeds=seeds,
        limited=limit < len(suite.subjects) or seeds < protocol.seeds,
        notice=notice,
    )


def _backbone(suite: Suite, request: Request) -> str:
    """The backbone asked for, the method's only one, or the suite's; none where none is needed."""
    factory = registry.load("method", request.method)
    own: str | None = getattr(factory, "backbone_name", None)
    backbone = registry.require("backbone", request.backbone or own or suite.default_backbone)
    if own and backbone != own:
        raise UserError(
            f"'{request.method}' does not draw with the backbone {backbone}; run it with "
            f"--backbone {own}."
        )
    if getattr(factory, "needs_backbone", True):
        return backbone
    if request.backbone:
        raise UserError(
            f"'{request.method}' draws without a backbone: leave out --backbone, and say with "
            "--protocol how its images are scored."
        )
    return NO_BACKBONE


def _rule(request: Request, options: type[Frozen]) -> dict[str, str]:
    """The guidance asked for, as an option of methods that can be guided."""
    if request.guidance is None:
        return {}
    if "rule" not in options.model_fields:
        raise UserError(
            f"'{request.method}' draws in a way of its own that no guidance can be put on; leave "
            "out --guidance."
        )
    return {"rule": request.guidance}


def _protocol(suite: Suite, wanted: str | None, backbone: str) -> tuple[Protocol, str | None]:
    """The protocol asked for; mini images are judged by mini encoders unless told otherwise."""
    names = {protocol.name for protocol in list_protocols(suite)}
    if wanted or backbone != "mini" or "mini" not in names:
        return load_protocol(suite, wanted), None
    return load_protocol(suite, "mini"), (
        f"The backbone is mini, so {suite.key} is scored by the mini encoders (protocol mini): "
        "this checks the machinery and is no result of the benchmark."
    )


def _demand_fit(suite: Suite, method: str) -> None:
    """UserError where a method cannot answer what a suite asks, or with what it is given."""
    factory = registry.load("method", method)
    edits = getattr(factory, "edits", False)
    by_hand = f"'bench score --images DIR --suite {suite.name}'"
    if suite.sources is not None and not edits:
        raise UserError(
            f"{suite.key} asks for edits of images, and '{method}' makes none; choose a method "
            f"that does, or score edits that your own code made with {by_hand}."
        )
    if suite.sources is None and edits:
        raise UserError(
            f"'{method}' edits images, and {suite.key} has none to be edited; choose a suite of "
            "edits, such as mini-edit."
        )
    if not suite.images and getattr(factory, "needs_references", True):
        raise UserError(
            f"{suite.key} has no photographs that '{method}' could be given; choose a method that "
            f"draws from text alone, or score images that your own code drew with {by_hand}."
        )


def _positive(flag: str, value: int | None) -> int | None:
    if value is not None and value < 1:
        raise UserError(f"{flag} is {value}; give a number of at least 1.")
    return value


def make_cases(
    suite: Suite, protocol: Protocol, subjects: tuple[Subject, ...], seeds: int
) -> tuple[Case, ...]:
    """Every question, by subject, prompt and seed."""
    return tuple(case for subject in subjects for case in _cases(suite, protocol, subject, seeds))


def _cases(suite: Suite, protocol: Protocol, subject: Subject, seeds: int) -> Iterator[Case]:
    """A prompt is spelled out once for all of its seeds."""
    key, name = suite.key, _name(subject, protocol)
    reference = protocol.input_references.get(subject.directory, "")
    for index, template in enumerate(prompts_for(suite, subject)):
        prompt, text = template.format(name), _text(subject, template, protocol)
        for seed in range(seeds):
            yield Case(
                suite=key,
                subject=subject.directory,
                prompt_index=index,
                prompt=prompt,
                name=name,
                reference=reference,
                seed=seed,
                text=text,
            )


def _text(subject: Subject, template: str, protocol: Protocol) -> str | None:
    """What metrics of text read; None where that is the prompt."""
    texts = {
        "prompt": None,
        "class_noun": template.format(subject.class_noun),
        "template": template,
    }
    return texts[protocol.scored_text]


def _name(subject: Subject, protocol: Protocol) -> str:
    name: str = getattr(subject, protocol.name_in_prompt)
    return name


def specify(
    plan: Plan,
    method: Method,
    backbone_digest: str,
    encoders: dict[str, str],
    counterparts: dict[str, str] | None = None,
) -> Specification:
    """The identity-giving specification of a plan, once weights are known.

    ``counterparts`` are digests of images that the answers are held against and no suite states.
    """
    metrics: dict[str, Any] = {
        spec.key: registry.load("metric", spec.metric).version for spec in plan.protocol.metrics
    }
    return Specification(
        suite=plan.suite.key,
        suite_identity=plan.suite.identity,
        protocol=plan.protocol.key,
        protocol_identity=plan.protocol.identity,
        encoders=encoders,
        metrics=metrics,
        method=plan.method,
        method_revision=method.revision,
        options={key: v for key, v in plan.options.items() if key not in method.inputs},
        inputs={**method.inputs, **(counterparts or {})},
        backbone=plan.backbone,
        backbone_digest=backbone_digest,
        subjects=plan.subjects,
        seeds=plan.seeds,
    )
