"""What is left of a plan, and what that takes.

Told from configurations, manifests and ledgers: nothing is loaded and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import registry
from bench.api import Scope
from bench.cost.devices import Device, device_at_hand, processor
from bench.cost.done import CHECKPOINTS, Done, progress_of
from bench.cost.estimates import Budget, Estimate, Extent, estimate
from bench.cost.facts import FACTS, facts_of
from bench.cost.throughput import measured
from bench.identity import identity
from bench.plan import NO_BACKBONE, Plan

Asked = tuple[Plan, Path | str | None]
"""A plan and where its run goes; None for the usual folder."""


@dataclass(frozen=True)
class Forecast:
    """A plan with what is done of it and what the rest takes.

    ``subjects`` are to be trained for, ``images`` are files to be drawn; ``budget`` is None where
    a training's cost is not known; ``scores``: seconds of looking at images, None where the speed
    of an encoder is not known; ``shared``: trainings and pairs that another plan of the same
    sweep makes.
    """

    plan: Plan
    out: Path | str | None
    done: Done
    subjects: tuple[str, ...]
    images: frozenset[str]
    budget: Budget | None
    estimate: Estimate
    device: Device
    scores: float | None
    shared: int = 0

    @property
    def seconds(self) -> dict[str, float] | None:
        """By stage, on one device; None where the device's speed is not known."""
        own = self.estimate.seconds
        return None if own is None else {**own, "scores": self.scores or 0.0}

    @property
    def scope(self) -> Scope:
        scope: Scope = registry.load("method", self.plan.method).scope
        return scope

    @property
    def trainings(self) -> int:
        """How many are left."""
        if self.scope == "subject":
            return len(self.subjects)
        return int(self.scope == "corpus" and (self.budget is None or self.budget.steps > 0))

    @property
    def untold(self) -> bool:
        """Whether something is trained whose cost nobody tells."""
        return self.budget is None and self.scope != "none"


@dataclass
class Claims:
    """Work that is done by one of several plans for all of them."""

    keys: set[str] = field(default_factory=set)

    def fresh(self, keys: Mapping[str, str]) -> list[str]:
        """Names whose keys nobody has claimed so far; they are claimed now."""
        new = [name for name, key in keys.items() if key not in self.keys]
        self.keys.update(keys.values())
        return new


def forecast(
    plan: Plan,
    out: Path | str | None = None,
    claims: Claims | None = None,
    device: Device | None = None,
) -> Forecast:
    """What is left of a plan whose run goes to ``out``.

    ``claims``: what other plans make for this one, too; ``device``: what it is to run on, None for
    what is here.
    """
    claims = claims or Claims()
    done = progress_of(plan, _folder(out))
    missing = frozenset(case.file for case in plan.cases) - done.images
    untrained = _untrained(plan, done, missing)
    subjects = tuple(claims.fresh(_training_keys(plan, untrained)))
    pairs = done.pairs or _shares_pairs(plan, claims)
    budget = _budget(plan, done, subjects, missing, pairs)
    on = device or device_of(plan.backbone)
    return Forecast(
        plan,
        out,
        done,
        subjects,
        missing,
        budget,
        _estimate(plan, budget or Budget(alone=not _sees(plan)), len(missing), on),
        on,
        _scores(plan, done, (device,) if device else (on, processor())),
        len(untrained) - len(subjects) + (pairs and not done.pairs),
    )


def _estimate(plan: Plan, budget: Budget, images: int, device: Device) -> Estimate:
    if plan.backbone == NO_BACKBONE:
        return Estimate({}, {}, None, {}, ("no network draws here",))
    options, speed = _options(plan), measured("backbone", plan.backbone, device.name)
    steps, passes = getattr(options, "steps", None), _passes(options)
    return estimate(budget, images, steps, plan.backbone, device, passes, speed)


def _folder(out: Path | str | None) -> Path | None:
    """None for an address: a dry run asks no store."""
    return None if out is None or "://" in str(out) else Path(out)


def _untrained(plan: Plan, done: Done, missing: frozenset[str]) -> list[str]:
    """Subjects to be trained for: those that lack an image and whose training is nowhere."""
    if registry.load("method", plan.method).scope != "subject":
        return []
    lacking = dict.fromkeys(case.subject for case in plan.cases if case.file in missing)
    return [subject for subject in lacking if subject not in done.trained | done.kept]


def _training_keys(plan: Plan, subjects: Sequence[str]) -> dict[str, str]:
    """Equal for plans that would train a subject in the very same way."""
    options = registry.load("method", plan.method).Options
    drawing: frozenset[str] = getattr(options, "drawing", frozenset())
    followed = {
        "method": plan.method,
        "options": {k: v for k, v in plan.options.items() if k not in drawing},
        "backbone": plan.backbone,
        "suite": plan.suite.identity,
    }
    asked = {case.subject: [case.subject, case.name, case.reference] for case in plan.cases}
    return {name: identity({**followed, "subject": asked[name]}) for name in subjects}


PAIRS = ("negatives", "pool", "corpus", "seed", "steps", "guidance", "adapter")
"""Options that pairs follow from, beside those of their source."""


def _shares_pairs(plan: Plan, claims: Claims) -> bool:
    """Whether another plan draws the same pairs: only with an SFT model that none has to train."""
    factory, options = registry.load("method", plan.method), _options(plan)
    facts = FACTS.get(plan.backbone)
    given = getattr(options, "adapter", None) or (facts and facts.ready)
    source = getattr(factory, "pairs_source", None)
    if source is None or not given or getattr(options, "retrain", False):
        return False
    followed = {name: plan.options.get(name) for name in PAIRS}
    key = identity({**followed, "source": source(options), "backbone": plan.backbone})
    return not claims.fresh({"pairs": key})


def _budget(
    plan: Plan, done: Done, subjects: Sequence[str], missing: frozenset[str], pairs: bool
) -> Budget | None:
    """What is left to train and to draw for that; None where the method does not tell."""
    factory, options = registry.load("method", plan.method), _options(plan)
    facts = facts_of(plan.backbone)[0]
    ask = getattr(factory, "budget", None)
    if ask is None or facts is None:
        return None
    if not missing or plan.method in done.trained:
        return Budget(alone=not _sees(plan))
    if "sft" in done.trained and done.folder:
        options = options.model_copy(
            update={"adapter": done.folder / CHECKPOINTS / "sft.safetensors"}
        )
    told: Budget | None = ask(options, facts, _extent(plan, subjects, missing))
    return replace(told, images=0) if told is not None and pairs else told


def _extent(plan: Plan, subjects: Sequence[str], missing: frozenset[str]) -> Extent:
    """Of what is left; where no subject is trained for, of all."""
    if registry.load("method", plan.method).scope != "subject":
        return replace(Extent.of(plan), images=len(missing))
    asked = set(subjects)
    nouns = {own.class_noun for own in plan.suite.subjects if own.directory in asked}
    return Extent(len(asked), len(nouns), len(missing))


def _options(plan: Plan) -> Any:
    return registry.load("method", plan.method).Options.model_validate(plan.options)


def _sees(plan: Plan) -> bool:
    """Whether references stand beside what is drawn."""
    factory = registry.load("method", plan.method)
    return getattr(factory, "needs_references", True) and factory.scope != "subject"


def _passes(options: Any) -> int | None:
    """What guidance asks at a step; None where that is the backbone's own, and is on."""
    if getattr(options, "guide", None) is not None:
        passes: int = options.passes
        return passes
    scale = getattr(options, "guidance", None)
    return 1 if scale is not None and scale <= 1 else None


def device_of(backbone: str) -> Device:
    """What a backbone is run on here."""
    facts = FACTS.get(backbone)
    return (device_at_hand() if not (facts and facts.on_cpu) else None) or processor()


def encoders_of(plan: Plan) -> list[str]:
    """Names of what its images are shown to."""
    return sorted({spec.encoder for spec in plan.protocol.metrics})


def _scores(plan: Plan, done: Done, devices: Sequence[Device]) -> float | None:
    """Seconds of looking at images that were not seen, as measured; None where that is unknown."""
    if done.scored:
        return 0.0
    each = [_looking(name, devices) for name in encoders_of(plan)]
    if any(seconds is None for seconds in each):
        return None
    return (len(plan.cases) - done.seen) * sum(seconds or 0.0 for seconds in each)


def _looking(encoder: str, devices: Sequence[Device]) -> float | None:
    """Seconds for an image on the first device that it was measured on."""
    found = (measured("encoder", encoder, device.name) for device in devices)
    return next((speed.seconds["image"] for speed in found if speed), None)
