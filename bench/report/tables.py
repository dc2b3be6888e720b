"""Tables for papers and for programs: Markdown and LaTeX as they are printed, CSV in full."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from bench.markup import in_cell, in_spreadsheet
from bench.report.together import Entry, Together
from bench.stats import Estimate, Paired
from bench.store import write_atomically

Cells = Sequence[str]
IN_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "\n": " ",
        # At the beginning of a line it would be taken for the option of the line before.
        "[": "{[}",
    }
)


def write_tables(shown: Together, folder: Path) -> list[str]:
    """Write ``scores``, of several runs ``differences``, and every image's numbers as ``rows.csv``.

    Returns the files' names.
    """
    files = {"rows.csv": as_csv(_rows(shown)), "scores.csv": as_csv(_numbers(shown))}
    printed = {"scores": scores(shown)}
    if shown.differences:
        printed["differences"] = differences(shown)
        files["differences.csv"] = as_csv(_differing(shown))
    for name, lines in printed.items():
        files |= {f"{name}.md": as_markdown(lines), f"{name}.tex": as_latex(lines)}
    for name, content in files.items():
        write_atomically(folder / name, content)
    return sorted(files)


def scores(shown: Together) -> list[Cells]:
    """A head, and a line for each run with its metrics as ``mean [low, high]``."""
    head = ["method", "backbone", *map(shown.head, shown.metrics), "images", "subjects"]
    return [head, *(_score_line(shown, entry) for entry in shown.entries)]


def differences(shown: Together) -> list[Cells]:
    """A head, and a line for each run after the first: how far it lies above that one."""
    head = [f"above {shown.first.label}", *map(shown.head, shown.metrics)]
    lines = (
        [label, *(_printed(told[name].difference, told[name].ci95, "+.3f") for name in told)]
        for label, told in shown.differences.items()
    )
    return [head, *lines]


def as_markdown(lines: Sequence[Cells]) -> str:
    """A table of GitHub's Markdown, in which text is text."""
    head, *body = ([in_cell(cell) for cell in line] for line in lines)
    aligned = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, aligned, *body))


def as_latex(lines: Sequence[Cells]) -> str:
    """A tabular for the package booktabs, in which text is text."""
    head, *body = (" & ".join(cell.translate(IN_LATEX) for cell in line) + r" \\" for line in lines)
    columns = "l" + "r" * (len(lines[0]) - 1)
    begin, end = rf"\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    told = [begin, r"\toprule", head, r"\midrule", *body, r"\bottomrule", end]
    return "\n".join(told) + "\n"


def as_csv(records: Iterable[Mapping[str, object]]) -> str:
    """Comma-separated values, their head from the first record; no text is a formula."""
    listed, buffer = list(map(in_spreadsheet, records)), StringIO()
    writer = csv.DictWriter(buffer, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return buffer.getvalue()


def _score_line(shown: Together, entry: Entry) -> Cells:
    told = [entry.result.metrics[name] for name in shown.metrics]
    printed = [_printed(one.mean, one.ci95, ".3f") for one in told]
    counts = str(len(entry.digests)), str(entry.result.n_subjects)
    return [entry.label, entry.result.backbone, *printed, *counts]


def _printed(value: float, ends: tuple[float, float] | None, form: str) -> str:
    interval = ", ".join(format(end, form) for end in ends) if ends else "no interval"
    return f"{value:{form}} [{interval}]"


def _numbers(shown: Together) -> Iterator[dict[str, object]]:
    for entry in shown.entries:
        who = {"method": entry.label, "backbone": entry.result.backbone}
        for name in shown.metrics:
            told = entry.result.metrics[name]
            yield {**who, "metric": name, "mean": told.mean, **_bounds(told)}


def _differing(shown: Together) -> Iterator[dict[str, object]]:
    for label, told in shown.differences.items():
        for name, one in told.items():
            who = {"method": label, "above": shown.first.label, "metric": name}
            yield {**who, "difference": one.difference, **_bounds(one), "p": one.p}


def _bounds(told: Estimate | Paired) -> dict[str, object]:
    low, high = told.ci95 or (None, None)
    return {"low": low, "high": high, "n": told.n, "n_subjects": told.n_subjects}


def _rows(shown: Together) -> Iterator[dict[str, object]]:
    for entry in shown.entries:
        for case in shown.cases:
            key = case.subject, case.prompt_index, case.seed
            asked = {"subject": case.subject, "prompt_index": case.prompt_index}
            told = {name: entry.values[name].get(key) for name in shown.per_image}
            who = {"method": entry.label, **asked, "prompt": case.prompt, "seed": case.seed}
            yield {**who, **told}
