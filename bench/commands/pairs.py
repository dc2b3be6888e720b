"""`bench pairs`: list, show, caption."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say
from bench.errors import UserError

app = typer.Typer(help="Pairs of comparative methods: list, show, caption.", no_args_is_help=True)


@app.command("list")
def list_kept(as_json: Json = False) -> None:
    """The pairs that runs have made, oldest first."""
    from bench.kept_pairs import list_pairs
    from bench.paths import cache

    rows = list_pairs(cache())
    if as_json:
        print_json(rows)
        return
    for row in rows:
        size = f"{row['size'] / 2**20:.1f} MiB"
        drawn = f"{row['n']} x {row['draws']} of {row['corpus']}, {size}, made {row['made']}"
        say(f"{row['id']}  {drawn}  {row['source']}")


@app.command("show")
def show_kept(
    folders: Annotated[
        list[str] | None,
        typer.Argument(metavar="FOLDER|ID", help="Several are compared; default: the newest."),
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="PNG to write.")] = Path("pairs.png"),
    rows: Annotated[int, typer.Option(min=1, help="Triplets to draw.")] = 8,
    judge: Annotated[
        str | None, typer.Option(help="Encoder to measure with; default: the backbone's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw pairs from the most to the least alike, beside a histogram of their similarity."""
    from bench.kept_pairs import find_pairs, list_pairs
    from bench.methods.pair_views import look
    from bench.paths import cache
    from bench.terminal import progress_bars

    kept = cache()
    names = folders or [row["id"] for row in list_pairs(kept)[-1:]]
    if not names:
        raise UserError(
            f"There are no finished pairs under {kept}; `bench run --method sfo` makes some."
        )
    with progress_bars() as progress:
        found = look([find_pairs(name, kept) for name in names], judge, rows, out, progress)
    if as_json:
        print_json(found)
        return
    for one in found["pairs"]:
        say(f"{Path(one['folder']).name}  {one['source']}")
        alike = (
            f"{one['to_positive']:.3f} to the positive, {one['to_reference']:.3f} to the reference"
        )
        say(f"    mean similarity {alike} ({found['judge']}, n = {one['n']})")
    say(f"wrote {out}")


@app.command("caption")
def caption_targets(
    model: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="An image-text-to-text model with its files.")
    ],
    corpus: Annotated[str, typer.Option(help="Whose targets: a corpus that methods train on.")],
    count: Annotated[
        int | None, typer.Option(min=1, help="As many as a method's `pool` or `negatives`.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The method's seed, for --count.")] = 0,
    indices: Annotated[
        str | None, typer.Option(help="Or these triplets, by index: 3,17,5.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", help="JSON Lines to write; an existing file is continued."),
    ] = Path("captions.jsonl"),
    as_json: Json = False,
) -> None:
    """Write captions that are wrong about the subject, for --set text=hallucinated."""
    from bench.methods.captions import LocalCaptioner, write_captions
    from bench.methods.corpora import load_corpus
    from bench.methods.examples import choose
    from bench.terminal import progress_bars

    if (count is None) == (indices is None):
        raise UserError("Say which triplets: give --count or --indices, and not both.")
    loaded = load_corpus(corpus)
    chosen = choose(len(loaded), count, seed) if count else _numbers(indices or "")
    with progress_bars() as progress:
        written = write_captions(LocalCaptioner(model), loaded, chosen, out, progress)
    if as_json:
        print_json({"file": str(out), "written": written, "n": len(chosen)})
        return
    say(f"wrote {written} captions to {out}; {len(chosen) - written} were there")


def _numbers(said: str) -> list[int]:
    try:
        return [int(part) for part in said.split(",")]
    except ValueError as error:
        raise UserError(f"--indices {said} is no list of indices: write 3,17,5.") from error
