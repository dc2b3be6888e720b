"""`bench mini`: train, show, measure, red-cars."""

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.output import Json, print_json, say

app = typer.Typer(help="The mini world: train its networks, show runs.", no_args_is_help=True)


@app.command("train")
def train_networks(
    stage: Annotated[
        str, typer.Option(help="base, sft, dino, clip, attributes, or all of them.")
    ] = "all",
    out: Annotated[
        Path, typer.Option(help="Checkpoints and logs; a training there is continued.")
    ] = Path("mini-training"),
    steps: Annotated[int | None, typer.Option(help="Steps of the stage.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Where finished weights go; default: out/weights.")
    ] = None,
) -> None:
    """Train the mini world's networks from nothing; hours on a CPU, resumable."""
    from bench.mini.training.stages import train_stages
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        for path in train_stages(stage, out, steps, weights or out / "weights", progress):
            say(f"wrote {path}")


@app.command("show")
def show_runs(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders; default: those under runs/.")
    ] = None,
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("mini.png"),
    subjects: Annotated[int, typer.Option(min=1, help="How many subjects.")] = 8,
) -> None:
    """Draw references and the runs' images side by side."""
    from bench.mini.show import default_runs, show

    show(runs or default_runs(Path("runs")), out, subjects)
    say(f"wrote {out}")


@app.command("measure")
def measure_networks(
    cache: Annotated[
        Path, typer.Option(help="Renderings are kept here; the one of `mini train` will do.")
    ] = Path("mini-training/cache"),
    as_json: Json = False,
) -> None:
    """Measure the shipped networks on validation subjects, as the model card tells it."""
    from bench.mini.training.quality import measure
    from bench.terminal import progress_bars

    with progress_bars() as progress:
        found = measure(cache, progress)
    if as_json:
        print_json(found)
        return
    for name, figures in found.items():
        for what, value in figures.items():
            say(f"{name:<16} {what:<24} {value:.3f}")


@app.command("red-cars")
def count_red_cars(
    out: Annotated[
        Path, typer.Option(help="Checkpoints, logs and the outcome; a training there is continued.")
    ] = Path("red-cars"),
    iterations: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 800,
    as_json: Json = False,
) -> None:
    """The SFO paper's toy experiment: a model that shall draw red cars only, with negatives or not.

    Published beside it: without negatives at most 55 % of the cars come out red.
    """
    from bench.mini.training.red_cars import Settings, compare
    from bench.terminal import progress_bars

    settings = Settings(iterations=iterations, every=min(200, iterations))
    with progress_bars() as progress:
        found = compare(out, settings, progress)
    if as_json:
        print_json(found)
        return
    say(f"classifier: {found['accuracy']:.1%} right on cars that it has not seen")
    say(f"{'steps':<8}{'SFT':>8}{'SFO':>8}")
    for step, sft, sfo in zip(found["steps"], found["sft"], found["sfo"], strict=True):
        say(f"{step:<8}{sft:>8.0%}{sfo:>8.0%}")
    say(f"cars before, after SFT and after SFO: {out / 'red-cars.png'}")
