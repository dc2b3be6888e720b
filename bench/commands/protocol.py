"""`bench protocol`: list, show, diff, lint."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.protocol_diff import Difference
    from bench.protocols import Protocol
    from bench.suites import Suite

app = typer.Typer(help="Protocols: list, show, diff, lint.", no_args_is_help=True)
SuiteOption = Annotated[str | None, typer.Option(help="Suite, NAME or NAME@VERSION.")]
NAMED = "SUITE/NAME, or NAME with --suite; NAME may end in @VERSION."


@app.command("list")
def list_protocols(suite: SuiteOption = None, as_json: Json = False) -> None:
    """Every protocol of a suite, or of all suites."""
    found = [(_path(one), one.description) for _, one in _all(suite)]
    if as_json:
        print_json([{"name": name, "what": what} for name, what in found])
        return
    for name, what in found:
        say(f"{name:<44} {what}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help=NAMED)],
    suite: SuiteOption = None,
    as_json: Json = False,
) -> None:
    """A protocol line by line: what each field is, and where that is stated or why it is so."""
    from bench.statements import statements

    asked = _find(name, suite)
    told = statements(*asked)
    if as_json:
        keep = {"field", "words", "source", "choice"}
        fields = [one.model_dump(mode="json", include=keep) for one in told]
        described = {"name": _path(asked[1]), "description": asked[1].description}
        print_json({**described, "identity": asked[1].identity, "fields": fields})
        return
    say(f"{_path(asked[1])}: {asked[1].description}")
    _print(
        ("field", "what it is", "where it is stated, or why it is so"),
        [(one.field, one.words, one.ground or "-") for one in told],
    )


@app.command("diff")
def diff(
    a: Annotated[str, typer.Argument(help=NAMED)],
    b: Annotated[str, typer.Argument(help="Another one, of the same suite or not.")],
    suite: SuiteOption = None,
    as_json: Json = False,
) -> None:
    """What differs between two protocols, with what each side rests on."""
    from bench.protocol_diff import differences

    asked_a, asked_b = _find(a, suite), _find(b, suite)
    name_a, name_b = _path(asked_a[1]), _path(asked_b[1])
    found = differences(asked_a, asked_b)
    if as_json:
        rows = [one.model_dump(mode="json") for one in found]
        print_json({"a": name_a, "b": name_b, "differences": rows})
    elif not found:
        say(f"{name_a} and {name_b} are equal: they ask and score alike.")
    else:
        _print(("field", name_a, name_b), [_cells(one) for one in found])


@app.command("lint")
def lint_protocols(
    suite: SuiteOption = None,
    ignore: Annotated[
        str, typer.Option(help="Rules that do not count, with commas: unstated,literal-template.")
    ] = "",
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit with 0 whatever is found.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What protocols leave open; exit code 1 when something is found."""
    from bench.lint import lint

    asked, ignored = _all(suite), ignore.split(",") if ignore else []
    found = [finding for one in asked for finding in lint(*one, ignored)]
    if as_json:
        print_json([finding.model_dump(mode="json") for finding in found])
    else:
        for finding in found:
            say(finding.line)
        say(f"{_counted(found, 'finding')} in {_counted(asked, 'protocol')}.")
    if found and not exit_zero:
        raise typer.Exit(1)


def _all(suite: str | None) -> "list[tuple[Suite, Protocol]]":
    from bench.protocols import list_protocols as of_suite
    from bench.suites import list_suites, load_suite

    suites = [load_suite(suite)] if suite else list_suites()
    return [(one, protocol) for one in suites for protocol in of_suite(one)]


def _find(name: str, suite: str | None) -> "tuple[Suite, Protocol]":
    from bench.protocols import load_protocol
    from bench.suites import load_suite

    before, slash, protocol = name.rpartition("/")
    if not slash and suite is None:
        raise UserError(
            f"'{name}' may be a protocol of several suites: say SUITE/{name}, or add --suite SUITE."
        )
    known = load_suite(before or suite or "")
    return known, load_protocol(known, protocol)


def _counted(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _path(protocol: "Protocol") -> str:
    return f"{protocol.suite}/{protocol.key}"


def _cells(found: "Difference") -> tuple[str, str, str]:
    return found.field, _side(found.a, found.ground_a), _side(found.b, found.ground_b)


def _side(words: str | None, ground: str | None) -> str:
    return f"{words or '-'}\n({ground})" if ground else words or "-"


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bench.terminal import stdout

    table = Table(show_lines=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    stdout.print(table)
