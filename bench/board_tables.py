"""A board for readers: its Markdown, and its table on the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from bench.markup import in_cell, in_markdown
from bench.names import folded, row_names
from bench.results import MEASURED, RESULT_FILE, Aggregate, RunResult
from bench.standings import (
    ABOVE,
    PARTIAL,
    Line,
    Section,
    anchor_notes,
    beyond,
    comparable,
    footnotes,
    is_anchor,
    lines_of,
    oracle_of,
    standing,
)

NARROW = 16
"""Characters of a method's name in a line of the terminal."""
COUNTS = 2
"""The last columns, of images and subjects: for these eighty columns are not enough."""
EXPLAINED = """\
Written by `bench board build` from the rows beside it; do not edit. Numbers are
`mean [low, high]`: the mean over images and its 95 % interval, bootstrapped over subjects.
Tables are sorted by their first metric; ↑ means that more is better, ↓ that less is. A rank is the
span of places that a row may have, from the paired differences of all rows over the same subjects;
all spans of a table hold together with 95 % confidence, and rows whose spans overlap are tied. r1
is the method's revision; its link leads to the run's options and environment. Rows that would read
alike say the options in which they differ."""


def markdown(title: str, shown: Iterable[Section]) -> str:
    """A board's README: the same bytes for the same sections."""
    blocks = [f"# {in_cell(title)}", EXPLAINED]
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
    if rows := standing(section):
        blocks.append(_markdown_table(rows))
    if section.partial:
        partial = _markdown_table([("", result) for result in section.partial])
        blocks += ["### Partial runs", PARTIAL, partial]
    notes = [*footnotes(section.example), *anchor_notes(rows)]
    blocks.append("\n".join(f"- {in_cell(note)}" for note in notes))
    return blocks


def _markdown_table(lines: Sequence[Line]) -> str:
    metrics = list(lines[0][1].metrics)
    header = _header(lines[0][1].metrics)
    aligned = ["---:", "---", "---", *["---:"] * (len(header) - 3)]
    oracle = oracle_of(lines)
    body = [
        _cells(rank, _link(name, result), result, metrics, oracle)
        for (rank, result), name in zip(lines, _names(lines), strict=True)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, aligned, *body))


def _names(lines: Sequence[Line]) -> list[str]:
    return row_names([result for _, result in lines])


def _link(name: str, result: RunResult) -> str:
    kind = " anchor" if is_anchor(result) else ""
    return f"[{in_markdown(name)}]({MEASURED}/{result.folder_name}/{RESULT_FILE}){kind}"


def as_table(title: str, shown: Iterable[Section], extra: RunResult | None = None) -> Table:
    """Sections for the terminal, or only what is comparable with ``extra``, which is marked."""
    groups = [lines_of(section) for section in shown if _belongs(section, extra)]
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
    for number, head in enumerate(_header(metrics)[:-COUNTS]):
        words = number in (1, 2)
        # Where room is scarce names take more lines, and numbers stay whole.
        justify: JustifyMethod = "left" if words else "right"
        table.add_column(head, justify=justify, no_wrap=not words, overflow="fold")
    for group in groups:
        oracle = oracle_of(group)
        for (rank, result), name in zip(group, _names(group), strict=True):
            marked = extra is not None and _same(result, extra)
            method = f"{_narrow(name, result)}{' *' if marked else ''}"
            cells = _cells(rank, method, result, list(metrics), oracle)[:-COUNTS]
            # Two lines a row, so that eighty columns are enough.
            lines = (Text(cell.replace(" [", "\n[")) for cell in cells)
            table.add_row(*lines, style="bold" if marked else None)
        table.add_section()
    notes = [note for group in groups for note in _captions(group)]
    table.caption = Text("\n".join(["* this run", *notes] if extra else notes))
    return table


def _captions(lines: Sequence[Line]) -> list[str]:
    example = lines[0][1]
    return [f"Protocol {example.protocol}", *footnotes(example), *anchor_notes(lines)]


def _belongs(section: Section, extra: RunResult | None) -> bool:
    return extra is None or comparable(section.example) == comparable(extra)


def _with(extra: RunResult, lines: list[Line]) -> list[Line]:
    if any(_same(result, extra) for _, result in lines):
        return lines
    return [*lines, ("partial" if extra.limited else "", extra)]


def _same(one: RunResult, other: RunResult) -> bool:
    """Whether these are one run with one outcome: elsewhere the same run may come out otherwise."""
    return (one.identity, one.rows_identity) == (other.identity, other.rows_identity)


def _header(metrics: Mapping[str, Aggregate]) -> list[str]:
    arrows = (f"{name} {'↑' if told.higher_is_better else '↓'}" for name, told in metrics.items())
    return ["rank", "method", "backbone", *arrows, "images", "subjects"]


def _cells(
    rank: str, method: str, result: RunResult, metrics: Iterable[str], oracle: RunResult | None
) -> list[str]:
    above = beyond(result, oracle)
    numbers = (_number(result.metrics.get(name), ABOVE * (name in above)) for name in metrics)
    images = next(iter(result.metrics.values())).n
    return [rank, method, result.backbone, *numbers, str(images), str(result.n_subjects)]


def _number(told: Aggregate | None, mark: str) -> str:
    if told is None:
        return ""
    interval = f"[{told.ci95[0]:.3f}, {told.ci95[1]:.3f}]" if told.ci95 else "[no interval]"
    return f"{told.mean:.3f}{mark} {interval}"


def _narrow(name: str, result: RunResult) -> str:
    """In lines so short that eighty columns are enough."""
    return "\n".join([*folded(name, NARROW), *["anchor"] * is_anchor(result)])
