"""Guidance: which answers a network is asked for at a step of sampling, and what is made of them.

A rule knows neither network nor sampler. All of them are affine in the predictions, with weights
that sum to one, so that noise, v and velocity are guided by the same formulas. A weak model is the
same network with its adapters' scales times omega, which for LoRA is the interpolation of weights.
Source: "Steering Guidance for Personalized Text-to-Image Diffusion Models" (Park et al.,
arXiv 2508.00319), Eq. 5 to 9 and Table 6.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, cast

from pydantic import Field
from torch import Tensor

from bench.api import Frozen
from bench.errors import unknown
from bench.methods.backbones.backbone import OFF, Asked, Condition, Place, Rule, Weights
from bench.options import parse_pairs, resolve

Without = Callable[[Condition], Condition]
"""What is left of a condition whose prompt is dropped."""
Answers = Sequence[Tensor]


def blend(answers: Answers, scale: float) -> Tensor:
    """From a weak answer towards, and beyond, a strong one."""
    weak, strong = answers
    return weak + scale * (strong - weak)


def prompted_and_not(condition: Condition, without: Without, weights: Weights) -> list[Asked]:
    """One model without and with the prompt."""
    return [Asked(without(condition), weights), Asked(condition, weights)]


def scaled(weights: Weights, omega: float) -> Weights:
    """Adapters at omega times their scales; none at all for 0."""
    return {name: scale * omega for name, scale in weights.items()} if omega else OFF


class _Named(Frozen):
    """A rule as text, which ``parse`` reads."""

    name: ClassVar[str]
    stepwise: ClassVar[bool] = False
    plain: ClassVar[bool] = False

    def __str__(self) -> str:
        told = [f"{key}={value!r}" for key, value in self.model_dump().items()]
        only = [pair.partition("=")[2] for pair in told] if len(told) == 1 else told
        return ":".join([self.name, *([",".join(only)] if only else [])])


class Unguided(_Named):
    """The network's own answer."""

    name = "none"

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        return [Asked(condition, weights)]

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return answers[0]


class Cfg(_Named):
    """Away from no prompt (classifier-free guidance): Eq. 5."""

    name = "cfg"
    scale: float = Field(7.5, ge=0, allow_inf_nan=False)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        return prompted_and_not(condition, without, weights)

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return blend(answers, self.scale)


class Ag(_Named):
    """Away from the pre-trained model under the same prompt (autoguidance): Eq. 6."""

    name = "ag"
    scale: float = Field(2.0, ge=0, allow_inf_nan=False)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        return [Asked(condition, OFF), Asked(condition, weights)]

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return blend(answers, self.scale)


class AddedAg(_Named):
    """Autoguidance added to CFG: three answers.

    The paper uses AG "in conjunction with CFG" and does not say how; its Table 8 times CFG + AG at
    three answers a step, for which this is one form.
    """

    name = "cfg+ag"
    scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    ag: float = Field(2.0, ge=0, allow_inf_nan=False)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        return [*prompted_and_not(condition, without, weights), Asked(condition, OFF)]

    def combine(self, answers: Answers, place: Place) -> Tensor:
        _, conditional, pretrained = answers
        return blend(answers[:2], self.scale) + (self.ag - 1) * (conditional - pretrained)


class AutoLora(_Named):
    """Autoguidance between two models that are each under CFG: four answers.

    ``weak``: CFG's scale on the pre-trained model. Source: AutoLoRA (arXiv 2410.03941), to which
    the paper refers for combining AG and CFG.
    """

    name = "autolora"
    scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    ag: float = Field(2.0, ge=0, allow_inf_nan=False)
    weak: float = Field(7.5, ge=0, allow_inf_nan=False)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        weak = prompted_and_not(condition, without, OFF)
        return weak + prompted_and_not(condition, without, weights)

    def combine(self, answers: Answers, place: Place) -> Tensor:
        weak, strong = blend(answers[:2], self.weak), blend(answers[2:], self.scale)
        return blend([weak, strong], self.ag)


class Pg(_Named):
    """Away from a model that unlearned, without prompt (personalization guidance): Eq. 8 and 9.

    omega = 1 is CFG; omega = 0 asks the pre-trained model for the weak answer (Eq. 7).
    """

    name = "pg"
    scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    omega: float = Field(0.6, ge=0, le=1)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        return [Asked(without(condition), scaled(weights, self.omega)), Asked(condition, weights)]

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return blend(answers, self.scale)


class Sag(_Named):
    """Away from the class's noun, then from no prompt (subject-agnostic guidance): three answers.

    Noisier than ``until``, in [0, 1], only the noun is followed; from there on the prompt, ``sag``
    times as far from the noun. The source's r is ``sag`` - 1, 0 by default, which fits the weight
    of 1.0 that Personalization Guidance states for its own form of it; which ``until`` that had, it
    does not say, and 0.9 is where the source varies r. Source: arXiv 2405.01356.
    """

    name = "sag"
    plain = True
    scale: float = Field(7.5, ge=0, allow_inf_nan=False)
    sag: float = Field(1.0, ge=0, allow_inf_nan=False)
    until: float = Field(0.9, ge=0, le=1)

    def asks(self, condition: Condition, without: Without, weights: Weights) -> list[Asked]:
        if condition.plain is None:
            raise ValueError("sag needs a condition that has its plain prompt as well")
        free, whole = prompted_and_not(condition, without, weights)
        plain = Condition(condition.plain, condition.reference)
        return [free, Asked(plain, weights), whole]

    def combine(self, answers: Answers, place: Place) -> Tensor:
        free, plain, _ = answers
        followed = blend(answers[1:], self.sag) if place.t <= self.until else plain
        return blend([free, followed], self.scale)


class CfgPlus(Cfg):
    """CFG whose weak answer is also the noise that is put back (CFG++, arXiv 2406.08070)."""

    name = "cfg++"
    stepwise = True
    scale: float = Field(0.4, ge=0, le=1)

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return blend(answers, self.scale * place.stride)


class PgPlus(Pg):
    """CFG++ with the weak model of PG in both places: "Ours++" of Table 6."""

    name = "pg++"
    stepwise = True
    scale: float = Field(0.4, ge=0, le=1)
    omega: float = Field(0.0, ge=0, le=1)

    def combine(self, answers: Answers, place: Place) -> Tensor:
        return blend(answers, self.scale * place.stride)


KINDS: dict[str, type[_Named]] = {
    kind.name: kind for kind in (Unguided, Cfg, Ag, AddedAg, AutoLora, Pg, Sag, CfgPlus, PgPlus)
}
UNGUIDED: Rule = Unguided()


def parse(text: str) -> Rule:
    """``pg``, ``cfg:7.5`` or ``pg:scale=7.5,omega=0.6`` to a rule.

    UserError for unknown rules and settings, and for numbers out of range.
    """
    name, colon, told = text.strip().partition(":")
    if name not in KINDS:
        raise unknown("guidance", name, KINDS)
    kind = KINDS[name]
    if not colon:
        return _made(kind, {})
    if kind.model_fields and "=" not in told:
        told = f"{next(iter(kind.model_fields))}={told}"
    return _made(kind, parse_pairs(told.split(",")))


def _made(kind: type[_Named], settings: dict[str, str]) -> Rule:
    return cast(Rule, resolve(f"guidance {kind.name}", kind, {}, settings))
