"""`bench compare`: how far one run lies above others, how sure that is, and where."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from bench.api import Progress
    from bench.contrast import Contrast, Part, Tally
    from bench.results import Measured

Found = list[dict[str, "Contrast"]]
By = Literal["kind", "prompt", "subject"]
MOST = len(ascii_uppercase)
WINS = "won/tied/lost\ncases\nsubjects"
NOTES = """\
Ends of 95 % intervals stand below each other. p: sign-flip test over subjects.
A wins where it is better by more than --tie. detects: the true difference that
would be found 80 times in 100. Which to trust when: docs/statistics.md"""
JACKKNIFE = """\
FID, KID and CMMD are about all images at once: interval and p are by leaving out
every subject in turn; --halves adds an interval by leaving out half of them."""


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="A B [C ...]",
            help="Folders of finished runs on one suite, or rows of a board as SUITE@VERSION/ROW.",
        ),
    ],
    metric: Annotated[str | None, typer.Option(help="Only this metric.")] = None,
    by: Annotated[
        By, typer.Option(help="Where each run wins: over kinds of prompts, prompts or subjects.")
    ] = "kind",
    tie: Annotated[
        float | None,
        typer.Option(min=0, help="No larger difference counts as a win; default: 0.000001."),
    ] = None,
    halves: Annotated[
        bool,
        typer.Option(
            "--halves",
            help="FID, KID, CMMD: another interval, by halves of the subjects; may take minutes.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Paired differences of the first run to the others, with intervals, tests and wins.

    With two runs, --json prints a document by metric; with more, one such document for each of the
    others, by its path.
    """
    if not 2 <= len(runs) <= MOST:
        given = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
        raise UserError(f"{given} given; name two to {MOST}, of which the first is compared.")
    from bench.compare import compare_all
    from bench.contrast import TIE
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        drawn = partial(_halves, progress) if halves else None
        found = compare_all(runs, metric, TIE if tie is None else tie, drawn)
    if as_json:
        _print_json(runs, found)
    else:
        _draw(runs, found, by)


def _halves(progress: "Progress", a: "Measured", b: "Measured", metric: str) -> list[float]:
    """Empty, and a line that says why, where it takes features that are not kept."""
    from bench.halves import differences
    from bench.terminal import stderr

    try:
        return differences(a, b, metric, progress=progress)
    except UserError as error:
        why = f"{metric}: only the jackknife's interval is told. {error}"
        stderr.print(why, soft_wrap=True, highlight=False, markup=False)
        return []


def _print_json(runs: Sequence[Path], found: Found) -> None:
    documents = [
        {name: told.model_dump(mode="json") for name, told in told_of.items()} for told_of in found
    ]
    others = dict(zip(map(str, runs[1:]), documents, strict=True))
    print_json(documents[0] if len(documents) == 1 else others)


def _draw(runs: Sequence[Path], found: Found, by: By) -> None:
    from bench.terminal import stdout

    letters = ascii_uppercase[: len(runs)]
    for letter, run in zip(letters, runs, strict=True):
        say(f"{letter}  {run}")
    for metric in dict.fromkeys(name for told in found for name in told):
        pairs = zip(letters[1:], found, strict=True)
        family = {letter: told[metric] for letter, told in pairs if metric in told}
        higher = next(iter(family.values())).higher_is_better
        say(f"\n{metric}, where {'more' if higher else 'less'} is better: A minus")
        stdout.print(_overall(family))
        if any(_parts(told, by) for told in family.values()):
            say("")
            stdout.print(_where(family, by))
    say(f"\n{NOTES}")
    if any(_is_of_set(told) for told_of in found for told in told_of.values()):
        say(JACKKNIFE)


def _overall(family: dict[str, "Contrast"]) -> "Table":
    several = len(family) > 1
    holm = "\n(Holm)" * several
    of_set = any(map(_is_of_set, family.values()))
    intervals = ("over\nsubjects", "over\nhalves" if of_set else "and over\nprompts")
    table = _table("", "mean", *intervals, f"p{holm}", f"Wilcoxon{holm}", WINS, "detects")
    for letter, told in family.items():
        table.add_row(
            letter,
            f"{told.difference:+.4f}",
            _ends(told.ci95),
            _ends(told.ci95_halves if of_set else told.ci95_two_way),
            _lines(_p(told.p), _p(told.p_holm) if several else None),
            _lines(_p(told.wilcoxon), _p(told.wilcoxon_holm) if several else None),
            _lines(_tally(told.cases), _tally(told.subjects)),
            "-" if told.detectable is None else f"{told.detectable:.4f}",
        )
    return table


def _where(family: dict[str, "Contrast"], by: By) -> "Table":
    table = _table("", by, "mean", "over\nsubjects", "won/tied/lost\ncases", "ahead")
    table.columns[1].justify = "left"
    for letter, told in family.items():
        for name, part in sorted(_parts(told, by).items(), key=lambda item: -item[1].difference):
            ahead = {"A": "A", "B": letter, None: "-"}[part.ahead]
            number, ends = f"{part.difference:+.4f}", _ends(part.ci95)
            table.add_row(letter, name, number, ends, _tally(part.cases), ahead)
    return table


def _is_of_set(told: "Contrast") -> bool:
    return told.cases is None


def _parts(told: "Contrast", by: By) -> dict[str, "Part"]:
    return {"kind": told.by_kind, "prompt": told.by_prompt, "subject": told.by_subject}[by]


def _table(*heads: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _lines(*cells: str | None) -> str:
    return "\n".join(cell for cell in cells if cell is not None)


def _ends(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else _lines(*(f"{end:+.4f}" for end in interval))


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return f"{p:.4f}" if p >= 1e-4 else "<.0001"


def _tally(told: "Tally | None") -> str:
    return "-" if told is None else f"{told.wins}/{told.ties}/{told.losses}"
