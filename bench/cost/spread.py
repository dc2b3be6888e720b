"""How long work takes that several workers share: trainings first, then drawing, then looking."""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from bench.cost.facts import FACTS
from bench.cost.forecast import Forecast
from bench.pieces import drawing_spans, subject_spans


def wall_seconds(found: Sequence[Forecast], workers: int) -> float | None:
    """Until all is done, where ``workers`` share trainings first, then drawing, then looking.

    None where the speed of a device is not known.
    """
    seconds = [one.seconds for one in found]
    if any(each is None for each in seconds):
        return None
    known = [(one, each) for one, each in zip(found, seconds, strict=True) if each is not None]
    phases = (
        [time for one, each in known for time in _training_pieces(one, each)],
        [time for one, each in known for time in drawing_pieces(one, each)],
        [time for one, each in known for time in _looking_pieces(one, each)],
    )
    return sum(spread(times, workers) for times in phases)


def spread(times: Iterable[float], workers: int) -> float:
    """How long so many workers take who each begin the longest piece that is left."""
    busy = [0.0] * max(1, workers)
    for time in sorted(times, reverse=True):
        heapq.heapreplace(busy, busy[0] + time)
    return max(busy)


def _training_pieces(one: Forecast, seconds: Mapping[str, float]) -> list[float]:
    """What all subjects share is one piece of work."""
    whole = _before_drawing(seconds)
    return [whole] if one.scope == "corpus" and whole else []


def drawing_pieces(one: Forecast, seconds: Mapping[str, float]) -> list[float]:
    """Seconds of each: subjects with their trainings, or a few groups of images.

    What is trained for no subject is trained for an image.
    """
    cases = one.plan.cases
    spans = drawing_spans(cases, one.scope, _batch(one))
    left = [sum(c.file in one.images for c in cases[span.start : span.stop]) for span in spans]
    whole = 0.0 if one.scope == "corpus" else _before_drawing(seconds)
    trained = set(one.subjects) if one.scope == "subject" else set[str]()
    own = whole / max(1, len(trained))
    beside = 0.0 if trained else whole
    each = (seconds.get("answers", 0.0) + beside) / max(1, len(one.images))
    return [
        count * each + (own if span.name in trained else 0.0)
        for count, span in zip(left, spans, strict=True)
        if count
    ]


def _looking_pieces(one: Forecast, seconds: Mapping[str, float]) -> list[float]:
    spans = subject_spans(one.plan.cases)
    whole = seconds.get("scores", 0.0)
    return [whole * (span.stop - span.start) / len(one.plan.cases) for span in spans]


def _before_drawing(seconds: Mapping[str, float]) -> float:
    return seconds.get("pairs", 0.0) + seconds.get("training", 0.0)


def _batch(one: Forecast) -> int:
    """Images drawn together; one where the backbone is not known."""
    facts = FACTS.get(one.plan.backbone)
    return facts.batch if facts else 1
