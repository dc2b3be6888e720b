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

    @property
    def example(self) -> RunResult:
        """One of the runs: protocol, definitions and world are those of all."""
        return self.ranked[0][1] if self.ranked else self.partial[0]


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
    return Section(
        ranked=list(zip(_ranks(full), (run.result for run in full), strict=True)),
        partial=[run.result for run in ordered if run.result.limited],
    )


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
    if section.ranked:
        blocks.append(_markdown_table([(str(rank), result) for rank, result in section.ranked]))
    if section.partial:
        partial = _markdown_table([("", result) for result in section.partial])
        blocks += ["### Partial runs", PARTIAL, partial]
    blocks.append("\n".join(f"- {note}" for note in _footnotes(section.example)))
    return blocks


def _markdown_table(lines: Sequence[Line]) -> str:
    metrics = list(lines[0][1].metrics)
    header = _header(lines[0][1].metrics)
    aligned = ["---:", "---", "---", *["---:"] * (len(header) - 3)]
    body = [_cells(rank, _link(result), result, metrics) for rank, result in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, aligned, *body))


def _link(result: RunResult) -> str:
    return f"[{_method(result)}]({MEASURED}/{result.folder_name}/{RESULT_FILE})"


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
        for rank, result in group:
            marked = extra is not None and _same(result, extra)
            method = f"{_method(result)}{' *' if marked else ''}"
            cells = _cells(rank, method, result, list(metrics))[:-1]
            # Two lines a row, so that eighty columns are enough.
            lines = (Text(cell.replace(" [", "\n[")) for cell in cells)
            table.add_row(*lines, style="bold" if marked else None)
        table.add_section()
    notes = [note for group in groups for note in _captions(group[0][1])]
    table.caption = Text("\n".join(["* this run", *notes] if extra else notes))
    return table


def _captions(result: RunResult) -> list[str]:
    return [f"Protocol {result.protocol}", *_footnotes(result)]


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
    ranked = [(str(rank), result) for rank, result in section.ranked]
    return ranked + [("partial", result) for result in section.partial]


def _header(metrics: Mapping[str, Aggregate]) -> list[str]:
    arrows = (f"{name} {'↑' if told.higher_is_better else '↓'}" for name, told in metrics.items())
    return ["rank", "method", "backbone", *arrows, "images", "subjects"]


def _cells(rank: str, method: str, result: RunResult, metrics: Iterable[str]) -> list[str]:
    numbers = (_number(result.metrics.get(name)) for name in metrics)
    images = next(iter(result.metrics.values())).n
    return [rank, method, result.backbone, *numbers, str(images), str(result.n_subjects)]


def _number(told: Aggregate | None) -> str:
    if told is None:
        return ""
    interval = f"[{told.ci95[0]:.3f}, {told.ci95[1]:.3f}]" if told.ci95 else "[no interval]"
    return f"{told.mean:.3f} {interval}"


def _method(result: RunResult) -> str:
    if result.origin != "run":
        return f"{result.method} ({result.origin})"
    return f"{result.method} r{result.method_revision}"


def _footnotes(result: RunResult) -> list[str]:
    """What the numbers of a section mean."""
    notes = [f"{name}: {_definition(told)}" for name, told in result.metrics.items()]
    return [*notes, MINI] if result.mini_weights else notes


def _definition(told: Aggregate) -> str:
    parts = [f"version {told.metric_version}", told.unit]
    if told.encoder:
        parts.append(f"encoder {told.encoder} ({(told.encoder_digest or 'no digest')[:12]})")
    return ", ".join([*parts, f"references: {told.references}"])
