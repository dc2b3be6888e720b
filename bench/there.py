"""Whether what a run needs is there, asked before anything is loaded."""

from pathlib import Path

from bench import registry, weights
from bench.gallery import Gallery
from bench.made import MANIFEST
from bench.places import place_of
from bench.plan import Plan
from bench.questions import Questions
from bench.sources import SOURCES


def demand_there(plan: Plan) -> None:
    """UserError for photographs and weights that are not here, with the command that brings them.

    A backbone made of several parts says of the others when it is loaded.
    """
    Questions(Gallery(plan.suite))(plan.cases[0])
    if plan.backbone in SOURCES:
        weights.find(plan.backbone)
    for spec in plan.protocol.metrics:
        registry.load("encoder", spec.encoder)()


def demand_reachable(out: Path | str | None) -> None:
    """UserError for an address that nothing can be written to, or that does not answer."""
    if out is not None:
        place_of(out).fetch(MANIFEST)
