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
from bench.cost.done import SFT, Done, progress_of
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
    fresh = claims.fresh(_training_keys(plan, untrained))
    sft = bool(fresh) and SFT not in done.trained | done.kept and _shares_sft(plan, claims)
    pairs = bool(fresh) and not done.pairs and _shares_pairs(plan, claims)
    subjects = tuple(fresh) if registry.load("method", plan.method).scope == "subject" else ()
    budget = _budget(plan, done, fresh, missing, sft, pairs)
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
        len(untrained) - len(fresh) + sft + pairs,
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
    """What is trained for images that lack, and is nowhere: subjects, or the method itself."""
    scope = registry.load("method", plan.method).scope
    lacking = dict.fromkeys(case.subject for case in plan.cases if case.file in missing)
    if scope == "corpus":
        lacking = dict.fromkeys([plan.method] if missing and _trains(plan) else [])
    return [one for one in lacking if scope != "none" and one not in done.trained | done.kept]


def _trains(plan: Plan) -> bool:
    """Whether a method of a corpus has anything to train at all."""
    factory, facts = registry.load("method", plan.method), facts_of(plan.backbone)[0]
    ask = getattr(factory, "budget", None)
    told = ask(_options(plan), facts, Extent.of(plan)) if ask and facts else None
    return told is None or told.steps > 0


def _training_keys(plan: Plan, names: Sequence[str]) -> dict[str, str]:
    """Equal for plans that would train a subject, or on a corpus, in the very same way."""
    factory = registry.load("method", plan.method)
    drawing: frozenset[str] = getattr(factory.Options, "drawing", frozenset())
    followed = {
        "method": plan.method,
        "options": {k: v for k, v in plan.options.items() if k not in drawing},
        "backbone": plan.backbone,
    }
    if factory.scope == "corpus":
        return {name: identity(followed) for name in names}
    asked = {case.subject: [case.subject, case.name, case.reference] for case in plan.cases}
    own = {**followed, "suite": plan.suite.identity}
    return {name: identity({**own, "subject": asked[name]}) for name in names}


PAIRS = ("negatives", "pool", "corpus", "seed", "steps", "guidance", "adapter")
"""Options that pairs follow from, beside those of their source."""


def _shares_sft(plan: Plan, claims: Claims) -> bool:
    """Whether another plan trains the same SFT model."""
    key = _sft_key(plan)
    return key is not None and not claims.fresh({SFT: key})


def _sft_key(plan: Plan) -> str | None:
    """Equal for plans that would train the very same; None where none is trained."""
    factory, options = registry.load("method", plan.method), _options(plan)
    ask, facts = getattr(factory, "kept_sft", None), FACTS.get(plan.backbone)
    if ask is None or options.adapter or (facts and facts.ready and not options.retrain):
        return None
    key: str = ask(options, plan.backbone, "", Path()).place.name
    return key


def _shares_pairs(plan: Plan, claims: Claims) -> bool:
    """Whether another plan draws the same pairs."""
    factory, options = registry.load("method", plan.method), _options(plan)
    source = getattr(factory, "pairs_source", None)
    if source is None:
        return False
    followed = {name: plan.options.get(name) for name in PAIRS}
    told = {"source": source(options), "sft": _sft_key(plan), "backbone": plan.backbone}
    return not claims.fresh({"pairs": identity({**followed, **told})})


THERE = Path(SFT)
"""An SFT model that need not be trained any more."""


def _budget(
    plan: Plan,
    done: Done,
    fresh: Sequence[str],
    missing: frozenset[str],
    sft: bool,
    pairs: bool,
) -> Budget | None:
    """What is left to train and to draw for that; None where the method does not tell.

    ``fresh``: what this plan trains; ``sft``, ``pairs``: whether another plan makes them.
    """
    factory, options = registry.load("method", plan.method), _options(plan)
    facts = facts_of(plan.backbone)[0]
    ask = getattr(factory, "budget", None)
    if ask is None or facts is None:
        return None
    if not missing or (factory.scope == "corpus" and not fresh):
        return Budget(alone=not _sees(plan))
    if sft or SFT in done.trained | done.kept:
        options = options.model_copy(update={"adapter": THERE})
    told: Budget | None = ask(options, facts, _extent(plan, fresh, missing))
    return replace(told, images=0) if told is not None and (pairs or done.pairs) else told


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
