"""`bench study`: new, tokens, serve, export, import, analyse."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

app = typer.Typer(
    help="Human studies: ask people which of two runs answers better.", no_args_is_help=True
)
Study = Annotated[Path, typer.Argument(metavar="STUDY", help="File that 'bench study new' made.")]
Seed = Annotated[int, typer.Option(help="Draws pairs, sides and orders.")]


@app.command("new")
def new(
    run_a: Annotated[Path, typer.Argument(metavar="A", help="Folder of a finished run.")],
    run_b: Annotated[Path, typer.Argument(metavar="B", help="Folder of another.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")] = Path("study.db"),
    pairs: Annotated[int, typer.Option(min=1, help="Cases to ask about.")] = 450,
    questions: Annotated[
        str, typer.Option(help="Of fidelity, alignment, naturalness, background.")
    ] = "fidelity,alignment",
    per_rater: Annotated[int, typer.Option(min=1, help="Pairs for each rater.")] = 30,
    catch: Annotated[int, typer.Option(min=0, help="Catch trials for each rater.")] = 2,
    forced: Annotated[bool, typer.Option("--forced", help="No 'both equally'.")] = False,
    consent: Annotated[
        Path | None, typer.Option(help="Text that raters agree to; default: a plain one.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Draw cases that both runs have answered, and copy their images into one file."""
    from bench.study.new import Wish, new_study
    from bench.terminal import progress_bars

    wish = Wish(
        questions=tuple(name.strip() for name in questions.split(",")),
        consent=_consent(consent),
        pairs=pairs,
        per_rater=per_rater,
        catches=catch,
        forced=forced,
        seed=seed,
    )
    with progress_bars() as progress:
        settings = new_study(run_a, run_b, out, wish, progress)
    each = -(-pairs // settings.per_rater)
    raters = "each rater sees every pair" if each == 1 else f"{each} raters see each pair once"
    say(
        f"wrote {out}: {pairs} pairs of {settings.methods[0]} and {settings.methods[1]}; {raters}. "
        f"Next: 'bench study tokens {out} {each}'"
    )


@app.command("tokens")
def tokens(
    study: Study,
    count: Annotated[int, typer.Argument(min=0, help="Raters to add; 0 prints all links.")] = 0,
    url: Annotated[str, typer.Option(help="Where the study is served.")] = "http://127.0.0.1:8000",
    as_json: Json = False,
) -> None:
    """Add raters and print a link for each."""
    from bench.study.database import opened
    from bench.study.raters import add_raters
    from bench.study.raters import tokens as everybody

    with opened(study) as connection:
        found = add_raters(connection, count) if count else everybody(connection)
    links = [f"{url.rstrip('/')}/r/{token}/" for token in found]
    if as_json:
        print_json(links)
        return
    for link in links:
        say(link)


@app.command("serve")
def serve(
    study: Study,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8000,
) -> None:
    """Serve raters until stopped; put a proxy with HTTPS before it on the open internet."""
    from bench.study.server import serve as serve_study

    serve_study(study, host, port, lambda address: say(f"serving {study} at {address}"))


@app.command("export")
def export(
    study: Study,
    mturk: Annotated[Path, typer.Option("--mturk", metavar="DIR", help="Folder to write.")],
    url: Annotated[str, typer.Option(help="Where DIR/images will be reachable (https).")],
    raters: Annotated[int, typer.Option(min=1, help="Lists to make, one for each worker.")] = 150,
) -> None:
    """Write a table of tasks, a layout and the images for Amazon Mechanical Turk."""
    from bench.study.crowd import export as write

    count = write(study, mturk, raters, url)
    say(
        f"wrote {mturk}: {raters} lists of {count} trials. Upload its images to {url}, publish "
        "tasks.csv with layout.html and one assignment for each task, then 'bench study import'"
    )


@app.command("import")
def import_results(
    study: Study,
    results: Annotated[Path, typer.Argument(metavar="CSV", help="The platform's result file.")],
) -> None:
    """Take over the answers of a crowd platform."""
    from bench.study.crowd_results import import_results as take

    say(f"took over {take(study, results)} lists of answers")


@app.command("analyse")
def analyse(
    studies: Annotated[
        list[Path], typer.Argument(metavar="STUDY...", help="Of one A against several B.")
    ],
    as_json: Json = False,
) -> None:
    """How often A wins, ties and loses, with intervals, tests and agreement."""
    from bench.study.analysis import analyse as ask
    from bench.study.report import markdown

    found = [ask(study) for study in studies]
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    say(markdown(found).rstrip("\n"))


def _consent(path: Path | None) -> str:
    import bench.study

    try:
        return (
            (path or Path(bench.study.__file__).parent / "consent.txt").read_text("utf-8").strip()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text; name another file.") from error
