"""Runs in order, for readers: who may stand in one table, who ranks where; Markdown, terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from bench.compare import difference
from bench.results import MEASURED, RESULT_FILE, Aggregate, Measured, RunResult

EXPLAINED = """\
Written by `bench board build` from the rows beside it; do not edit. Numbers are
`mean [low, high]`: the mean over images and its 95 % interval, bootstrapped over subjects.
Tables are sorted by their first metric; ↑ means that more is better, ↓ that less is. A row shares
the rank of the row above it when the 95 % interval of their paired difference includes 0. r1 is
the method's revision; its link leads to the run's options and environment."""
PARTIAL = (
    "Fewer subjects or seeds than the protocol asks for: not ranked, in the order of the mean."
)
ANCHORED = (
    "anchor: no method, but what the others are read against; not ranked. oracle shows another "
    "photograph of the subject than the one given, which is not held against itself; "
    "copy-reference the one given; wrong-subject one of another subject; text-only what the "
    "backbone draws without the subject; noise nothing."
)
OF_EDITS = (
    "anchor: no method, but what the others are read against; not ranked. oracle-edit shows the "
    "true edit; copy-source the image that was to be edited, untouched."
)
ORACLE = "oracle"
ANCHORS = {
    **dict.fromkeys((ORACLE, "copy-reference", "wrong-subject", "text-only", "noise"), ANCHORED),
    **dict.fromkeys(("oracle-edit", "copy-source"), OF_EDITS),
}
"""Methods that the others are read against, to what is said of them."""
ABOVE = "†"
COPYING = (
    f"{ABOVE} beyond the oracle: closer to the photographs than another real one is, which is a "
    "sign of copying and not of a better likeness."
)
MINI = "Mini weights: not comparable with anything outside the mini world."

Line = tuple[str, RunResult]
"""A row with what stands in its first column."""


@dataclass(frozen=True)
class Section:
    """Runs that may be compared: one protocol, one definition of every metric, one world."""

    ranked: list[tuple[int, RunResult]]
    """Best first by the first metric; a run not separable from the one above shares its rank."""
    partial: list[RunResult]
    """Limited runs, best first."""
    anchors: list[RunResult]
    """Full runs of the anchors, best first."""

    @property
    def example(self) -> RunResult:
        """One of the runs: protocol, definitions and world are those of all."""
        return [*(result for _, result in self.ranked), *self.anchors, *self.partial][0]


def sections(runs: Iterable[Measured]) -> list[Section]:
    """Runs by what may be compared, each section ranked.

    UserError when full runs of one protocol do not answer the same cases.
    """
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for run in runs:
        groups.setdefault(_comparable(run.result), []).append(run)
    return [_section(group) for _, group in sorted(groups.items())]


def _comparable(result: RunResult) -> tuple[str, ...]:
    """What two runs must share to stand in one table."""
    definitions = [(name, *told.definition) for name, told in result.metrics.items()]
    return (
        result.protocol,
        MINI if result.mini_weights else "",
        result.suite_identity,
        result.protocol_identity,
        *(part for definition in definitions for part in definition),
    )


def _section(runs: list[Measured]) -> Section:
    ordered = sorted(runs, key=_standing)
    full = [run for run in ordered if not run.result.limited]
    methods = [run for run in full if not _is_anchor(run.result)]
    return Section(
        ranked=list(zip(_ranks(methods), (run.result for run in methods), strict=True)),
        partial=[run.result for run in ordered if run.result.limited],
        anchors=[run.result for run in full if _is_anchor(run.result)],
    )


def _is_anchor(result: RunResult) -> bool:
    return result.origin == "run" and result.method in ANCHORS


def _standing(run: Measured) -> tuple[float, str]:
    first = next(iter(run.result.metrics.values()))
    return (-first.mean if first.higher_is_better else first.mean), run.result.identity


def _ranks(ordered: Sequence[Measured]) -> list[int]:
    ranks: list[int] = []
    for place, run in enumerate(ordered, start=1):
        first = next(iter(run.result.metrics))
        tied = place > 1 and not difference(run, ordered[place - 2], first).separable
        ranks.append(ranks[-1] if tied else place)
    return ranks


def markdown(title: str, shown: Iterable[Section]) -> str:
    """A board's README: the same bytes for the same sections."""
    blocks = [f"# {title}", EXPLAINED]
    protocol = None
    for section in shown:
        if section.example.protocol != protocol:
            protocol = section.example.protocol
            blocks.append(f"## Protocol {protocol}")
        blocks += _markdown_section(section)
    if protocol is None:
        blocks.append("Nothing has been measured yet.")
    return "\n\n".join(blocks) + "\n"


def _markdown_section(section: Section) -> list[str]:
    blocks = []
    if standing := _standing_lines(section):
        blocks.append(_markdown_table(standing))
    if section.partial:
        partial = _markdown_table([("", result) for result in section.partial])
        blocks += ["### Partial runs", PARTIAL, partial]
    notes = [*_footnotes(section.example), *_anchor_notes(standing)]
    blocks.append("\n".join(f"- {note}" for note in notes))
    return blocks


def _markdown_table(lines: Sequence[Line]) -> str:
    metrics = list(lines[0][1].metrics)
    header = _header(lines[0][1].metrics)
    aligned = ["---:", "---", "---", *["---:"] * (len(header) - 3)]
    oracle = _oracle(lines)
    body = [_cells(rank, _link(result), result, metrics, oracle) for rank, result in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, aligned, *body))


def _link(result: RunResult) -> str:
    kind = " anchor" if _is_anchor(result) else ""
    return f"[{_method(result)}]({MEASURED}/{result.folder_name}/{RESULT_FILE}){kind}"


def as_table(title: str, shown: Iterable[Section], extra: RunResult | None = None) -> Table:
    """Sections for the terminal, or only what is comparable with ``extra``, which is marked."""
    groups = [_lines(section) for section in shown if _belongs(section, extra)]
    if extra:
        groups = [_with(extra, [line for group in groups for line in group])]
    results = [result for group in groups for _, result in group]
    metrics = {name: told for result in results for name, told in result.metrics.items()}
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        padding=0,
    )
    for number, head in enumerate(_header(metrics)[:-1]):
        table.add_column(head, justify="left" if number in (1, 2) else "right", no_wrap=True)
    for group in groups:
        oracle = _oracle(group)
        for rank, result in group:
            marked = extra is not None and _same(result, extra)
            method = f"{_narrow(result)}{' *' if marked else ''}"
            cells = _cells(rank, method, result, list(metrics), oracle)[:-1]
            # Two lines a row, so that eighty columns are enough.
            lines = (Text(cell.replace(" [", "\n[")) for cell in cells)
            table.add_row(*lines, style="bold" if marked else None)
        table.add_section()
    notes = [note for group in groups for note in _captions(group)]
    table.caption = Text("\n".join(["* this run", *notes] if extra else notes))
    return table


def _captions(lines: Sequence[Line]) -> list[str]:
    example = lines[0][1]
    return [f"Protocol {example.protocol}", *_footnotes(example), *_anchor_notes(lines)]


def _belongs(section: Section, extra: RunResult | None) -> bool:
    return extra is None or _comparable(section.example) == _comparable(extra)


def _with(extra: RunResult, lines: list[Line]) -> list[Line]:
    if any(_same(result, extra) for _, result in lines):
        return lines
    return [*lines, ("partial" if extra.limited else "", extra)]


def _same(one: RunResult, other: RunResult) -> bool:
    """Whether these are one run with one outcome: elsewhere the same run may come out otherwise."""
    return (one.identity, one.rows_identity) == (other.identity, other.rows_identity)


def _lines(section: Section) -> list[Line]:
    return _standing_lines(section) + [("partial", result) for result in section.partial]


def _standing_lines(section: Section) -> list[Line]:
    """The ranked rows, and the anchors under them."""
    ranked = [(str(rank), result) for rank, result in section.ranked]
    return ranked + [("", result) for result in section.anchors]


def _oracle(lines: Sequence[Line]) -> RunResult | None:
    oracles = (r for _, r in lines if _is_anchor(r) and r.method == ORACLE and not r.limited)
    return next(oracles, None)


def _beyond(result: RunResult, oracle: RunResult | None) -> set[str]:
    """The metrics in which a method's images are closer to the photographs than the oracle's."""
    if oracle is None or result.limited or _is_anchor(result):
        return set()
    return {
        name
        for name, told in result.metrics.items()
        if _tells_likeness(told) and _better(told, oracle.metrics[name])
    }


def _tells_likeness(told: Aggregate) -> bool:
    """Whether it says how like its photographs the subject is: not a share, not the scene."""
    against = told.references not in ("none", "siblings") and told.kind != "set"
    return against and told.unit != "share" and told.region != "background"


def _better(one: Aggregate, other: Aggregate) -> bool:
    return one.mean > other.mean if one.higher_is_better else one.mean < other.mean


def _header(metrics: Mapping[str, Aggregate]) -> list[str]:
    arrows = (f"{name} {'↑' if told.higher_is_better else '↓'}" for name, told in metrics.items())
    return ["rank", "method", "backbone", *arrows, "images", "subjects"]


def _cells(
    rank: str, method: str, result: RunResult, metrics: Iterable[str], oracle: RunResult | None
) -> list[str]:
    beyond = _beyond(result, oracle)
    numbers = (_number(result.metrics.get(name), ABOVE * (name in beyond)) for name in metrics)
    images = next(iter(result.metrics.values())).n
    return [rank, method, result.backbone, *numbers, str(images), str(result.n_subjects)]


def _number(told: Aggregate | None, mark: str) -> str:
    if told is None:
        return ""
    interval = f"[{told.ci95[0]:.3f}, {told.ci95[1]:.3f}]" if told.ci95 else "[no interval]"
    return f"{told.mean:.3f}{mark} {interval}"


def _method(result: RunResult) -> str:
    if result.origin != "run":
        return f"{result.method} ({result.origin})"
    rule = result.options.get("rule")
    return f"{result.method} r{result.method_revision}" + (f", {rule}" if rule else "")


def _narrow(result: RunResult) -> str:
    """An anchor takes lines of its own to say what it is, so that eighty columns are enough."""
    named = _method(result)
    return named.replace("-", "-\n").replace(" ", "\nanchor ", 1) if _is_anchor(result) else named


def _footnotes(result: RunResult) -> list[str]:
    """What the numbers of a section mean."""
    notes = [f"{name}: {_definition(told)}" for name, told in result.metrics.items()]
    return [*notes, MINI] if result.mini_weights else notes


def _anchor_notes(lines: Sequence[Line]) -> list[str]:
    """What the anchors among the rows are, and what it means to pass the oracle."""
    results, oracle = [result for _, result in lines], _oracle(lines)
    notes = list(dict.fromkeys(ANCHORS[told.method] for told in results if _is_anchor(told)))
    return [*notes, COPYING] if any(_beyond(result, oracle) for result in results) else notes


def _definition(told: Aggregate) -> str:
    parts = [f"version {told.metric_version}", told.unit]
    if told.encoder:
        parts.append(f"encoder {told.encoder} ({(told.encoder_digest or 'no digest')[:12]})")
    if told.region != "whole":
        parts.append(f"region {told.region}")
    return ", ".join([*parts, told.held_against.replace("references ", "references: ")])
