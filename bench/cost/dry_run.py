"""All that a dry run says, as JSON has it: what is done, what is left, and what that takes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.cost.devices import Device
from bench.cost.estimates import Figures, counts, rounded
from bench.cost.fit import disks, memories, said_of
from bench.cost.forecast import Asked, Claims, Forecast, encoders_of, forecast
from bench.cost.spread import drawing_pieces, wall_seconds
from bench.pieces import subject_spans
from bench.plan import Plan

NOT_TOLD = "not known, and not in the figures below"
STAGES = ("pairs", "training", "answers", "scores")


def describe(
    plan: Plan, out: Path | str | None = None, workers: int = 1, device: Device | None = None
) -> dict[str, Any]:
    """What a dry run says of one plan, as JSON has it; on a device that is here, or another."""
    return _document(forecast(plan, out, device=device), workers)


def describe_all(
    asked: Iterable[Asked], workers: int = 1, device: Device | None = None
) -> dict[str, Any]:
    """What a dry run says of several: each, and their sum with what they share counted once."""
    claims = Claims()
    found = [forecast(plan, out, claims, device) for plan, out in asked]
    return {
        "runs": [_document(one, workers) for one in found],
        "total": _total(found, workers),
    }


def _document(one: Forecast, workers: int) -> dict[str, Any]:
    plan = one.plan
    return {
        "method": plan.method,
        "backbone": plan.backbone,
        "suite": plan.suite.key,
        "protocol": plan.protocol.key,
        "options": plan.options,
        "n_subjects": len(plan.subjects),
        "n_seeds": plan.seeds,
        "n_images": len(plan.cases),
        "limited": plan.limited,
        "encoders": encoders_of(plan),
        "done": one.done.document,
        "left": _left([one]),
        "pieces": _pieces(one),
        "cost": _cost(one, workers),
        **_fit([one]),
    }


def _left(found: Sequence[Forecast]) -> dict[str, int]:
    return {
        "trainings": sum(one.trainings for one in found),
        "pairs": sum(one.budget.images if one.budget else 0 for one in found),
        "images": sum(len(one.images) for one in found),
        "to_score": sum(0 if one.done.scored else len(one.plan.cases) for one in found),
    }


def _pieces(one: Forecast) -> dict[str, int]:
    """What workers are given; a subject is trained for and drawn in one piece."""
    seconds = {"training": 1.0, "answers": 1.0}
    return {
        "train": int(one.scope == "corpus" and one.trainings > 0),
        "draw": len(drawing_pieces(one, seconds)),
        "look": 0 if one.done.scored else len(subject_spans(one.plan.cases)),
    }


def _cost(one: Forecast, workers: int) -> dict[str, Any]:
    untold = NOT_TOLD if one.scope != "none" else "none"
    left = (*one.estimate.assumptions, *_said_of_scores(one))
    return {
        "training": counts(one.budget) if one.budget is not None else untold,
        **one.estimate.document,
        **_times([one], workers),
        "assumptions": list(left),
    }


def _said_of_scores(one: Forecast) -> list[str]:
    if one.scores is None:
        return ["scores: the encoders' speed is not known here, so no time: run 'bench bench'"]
    return ["scores: encoders as measured here"] if one.scores else []


def _times(found: Sequence[Forecast], workers: int) -> dict[str, Any]:
    """Hours of all devices together, and until the end with so many of them."""
    wall = wall_seconds(found, workers)
    if wall is None:
        return {"hours": None, "hours_of": None, "workers": workers, "wall_hours": None}
    seconds = _summed(one.seconds or {} for one in found)
    unknown = {"scores": None} if any(one.scores is None for one in found) else {}
    return {
        "hours": _digits(sum(seconds.values()) / 3600),
        "hours_of": {**rounded(seconds, 3600), **unknown},
        "workers": workers,
        "wall_hours": _digits(wall / 3600),
    }


def _total(found: Sequence[Forecast], workers: int) -> dict[str, Any]:
    memory = [one.estimate.memory for one in found if one.estimate.memory is not None]
    return {
        "n_runs": len(found),
        "done": sum(len(one.done.images) for one in found),
        "left": _left(found),
        "shared": sum(one.shared for one in found),
        "disk_gb": rounded(_summed(one.estimate.disk for one in found), 1e9),
        "pflop": rounded(_summed(one.estimate.flops or {} for one in found), 1e15),
        "memory_gb": float(f"{max(memory) / 1e9:.3g}") if memory else None,
        **_times(found, workers),
        **_fit(found),
        "not_known": sorted({one.plan.method for one in found if one.untold}),
    }


def _fit(found: Sequence[Forecast]) -> dict[str, Any]:
    return {
        "disks": [disk.document for disk in disks(found)],
        "memories": [memory.document for memory in memories(found)],
        "warnings": said_of(found),
    }


def _summed(figures: Iterable[Figures]) -> Figures:
    total: Figures = {}
    for each in figures:
        for name, value in each.items():
            total[name] = total.get(name, 0.0) + value
    return total


def _digits(figure: float) -> float:
    """Four digits say all that an estimate knows."""
    return float(f"{figure:.4g}")
