"""Folders of images as others read them: plain ones, and those of runs, which say how they came."""

from pathlib import Path
from typing import Any

from bench import registry
from bench.api import Case
from bench.documents import MALFORMED, json_of
from bench.errors import UserError
from bench.plan import Plan, make_cases
from bench.protocols import load_protocol
from bench.sitting import Place, Shown, not_shown, place_of
from bench.suites import Suite

MANIFEST = "manifest.json"
IMAGES = "images"


def images_of(source: Path) -> Path:
    """Where the images of a run lie, or the source itself where that is no run's folder."""
    return source / IMAGES if (source / MANIFEST).is_file() else source


def specification_of(source: Path) -> dict[str, Any] | None:
    """What a run's manifest says of the images in its folder; None for images of unknown origin."""
    folder = source.parent if source.name == IMAGES else source
    try:
        manifest = json_of(folder / MANIFEST)
    except MALFORMED:
        return None
    told = manifest.get("specification") if isinstance(manifest, dict) else None
    return told if isinstance(told, dict) else None


def shown_by(source: Path, suite: Suite) -> Shown:
    """Which photographs a run's method answered with, asked as the run was, not as it is scored.

    UserError for a run of another revision of such a method.
    """
    told = specification_of(source) or {}
    if told.get("suite") != suite.key or told.get("method") not in registry.names("method"):
        return not_shown
    factory = registry.load("method", told["method"])
    if not hasattr(factory, "shown"):
        return not_shown
    if told.get("method_revision") != factory.revision:
        raise UserError(
            f"{source} was made by another revision of '{told['method']}', which may show other "
            "photographs: run it again."
        )
    method = factory(None, factory.Options.model_validate(told["options"]))
    asked = load_protocol(suite, told["protocol"])
    cases = make_cases(suite, asked, suite.subjects, told["seeds"])
    shown: dict[Place, str] = {place_of(case): method.shown(case) for case in cases}

    def of_case(case: Case) -> str | None:
        return shown.get(place_of(case))

    return of_case


def shown_by_method(plan: Plan) -> Shown:
    """Which photographs a plan's method answers with; it needs no backbone for that."""
    factory = registry.load("method", plan.method)
    if not hasattr(factory, "shown"):
        return not_shown
    shown: Shown = factory(None, factory.Options.model_validate(plan.options)).shown
    return shown
