"""Scoring in one pass: everything is looked at once, then every judge says its rows."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, get_args

from bench import registry
from bench.api import Cutter, Precision, Progress, Region, Row, silent
from bench.features import FeatureStore
from bench.judges import ImageJudge, Judge, PairJudge, SetJudge, Side
from bench.observe import Known, Observed, Pair, observe, read
from bench.protocols import Against, MetricSpec, Protocol, References
from bench.results import Aggregate
from bench.sitting import Sitting
from bench.views import Comparison, View

Networks = dict[tuple[str, Precision], Any]
"""Encoders and comparers by name and precision; a network stays loaded as long as it is in here."""
KINDS: dict[str, Callable[..., Judge]] = {"image": ImageJudge, "pair": PairJudge, "set": SetJudge}


def score(
    sitting: Sitting,
    progress: Progress = silent,
    store: FeatureStore | None = None,
    networks: Networks | None = None,
) -> list[Row]:
    """The rows of a sitting, whatever the order of its images and whatever is known already.

    ``networks`` keeps what was loaded, for those who score again in the same process. UserError
    for images that cannot be read, weights that are not here, and references that nobody has; what
    was looked at by then is kept.
    """
    table = judges(sitting.protocol, networks)
    observed = Observed(store or FeatureStore())
    _look(table, sitting, observed, progress)
    return [row for judge in table for row in judge.rows(sitting, observed)]


def look(
    sitting: Sitting,
    progress: Progress = silent,
    store: FeatureStore | None = None,
    networks: Networks | None = None,
) -> Known:
    """What ``score`` looks at of images, and no more: its part that can be done in pieces.

    Images are looked at together that stand in one sitting, whoever looks: the bits of a network's
    answer may depend on what it is shown beside.
    """
    observed = Observed(store or FeatureStore())
    _see(judges(sitting.protocol, networks), sitting, observed, progress)
    return observed.known


def aggregates(rows: Sequence[Row], sitting: Sitting) -> dict[str, Aggregate]:
    """Every metric's number and interval with its definition. ValueError for one without rows."""
    return {judge.spec.key: judge.aggregate(sitting, rows) for judge in judges(sitting.protocol)}


def judges(protocol: Protocol, networks: Networks | None = None) -> list[Judge]:
    """The protocol's metrics, in its order; those that look through the same share one view.

    UserError for weights that are not here.
    """
    loaded = {} if networks is None else networks
    cutters: dict[Region, Cutter | None] = {"whole": None}
    views: dict[tuple[str, ...], Any] = {}
    table = []
    for spec in protocol.metrics:
        metric = registry.load("metric", spec.metric)
        through = Comparison if metric.kind == "pair" else View
        seen = (through.__name__, spec.encoder, spec.precision, spec.region)
        if seen not in views:
            if (named := (spec.encoder, spec.precision)) not in loaded:
                loaded[named] = registry.load("encoder", spec.encoder)(precision=spec.precision)
            if spec.region not in cutters:
                cutters[spec.region] = registry.load("region", spec.region)()
            views[seen] = through(loaded[named], cutters[spec.region])
        judge = KINDS[metric.kind]
        table.append(judge(spec, metric(views[seen].network), views[seen]))
    return table


def select(
    protocol: Protocol,
    wanted: Sequence[str],
    precision: Precision = "fp32",
    references: References = "all",
) -> Protocol:
    """The protocol with these metrics alone, ``metric[:encoder][/region]``, in this order.

    Those that it does not have are added, with the encoder and region named or the metric's own,
    against ``references``; no names mean the protocol's own. UserError for unknown names.
    """
    own = {spec.key: spec for spec in protocol.metrics}
    asked = [own.get(name) or _asked(name, references) for name in wanted or own]
    exact = precision == "fp32"
    precise = [
        spec if exact else spec.model_copy(update={"precision": precision}) for spec in asked
    ]
    chosen = {spec.key: spec for spec in precise}
    mini = protocol.mini_weights or any(spec.encoder.startswith("mini-") for spec in asked)
    return protocol.model_copy(update={"metrics": tuple(chosen.values()), "mini_weights": mini})


def _asked(name: str, references: References) -> MetricSpec:
    rest, _, region = name.partition("/")
    metric, _, encoder = rest.partition(":")
    factory = registry.load("metric", metric)
    default, usual = factory.encoder, getattr(factory, "region", "whole")
    encoder, region = encoder or default, region or usual
    registry.require("encoder", encoder)
    if region != "whole":
        registry.require("region", region)
    differs = [part for part, own in ((encoder, default), (region, usual)) if part != own]
    return MetricSpec.model_validate(
        {
            "metric": metric,
            "encoder": encoder,
            "references": references,
            "region": region,
            "name": ".".join([metric, *differs]) if differs else None,
        }
    )


def _look(table: Sequence[Judge], sitting: Sitting, observed: Observed, progress: Progress) -> None:
    """Have everything seen, compared and read that the judges need."""
    _see(table, sitting, observed, progress)
    texts: dict[View, set[str]] = defaultdict(set)
    for judge in table:
        for view, wanted in judge.texts(sitting).items():
            texts[view] |= wanted
    for view, wanted in texts.items():
        read(observed, view, wanted)


def _see(table: Sequence[Judge], sitting: Sitting, observed: Observed, progress: Progress) -> None:
    """Have every image seen and compared that the judges look at."""
    pairs: dict[Comparison, list[Pair]] = defaultdict(list)
    for judge in table:
        for comparison, wanted in judge.pairs(sitting).items():
            pairs[comparison] += wanted
    for side in get_args(Against):
        if views := _views(table, side):
            observe(observed, sitting.opposite(side), views, {}, progress, side.capitalize())
    observe(observed, sitting.pictures, _views(table, "images"), pairs, progress, "Scoring")


def _views(table: Sequence[Judge], side: Side) -> list[View]:
    return list(dict.fromkeys(view for judge in table for view in judge.views(side)))
