"""`bench bench`: how fast this machine is, which dry runs then go by."""

from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.output import Json, print_json, say

if TYPE_CHECKING:
    from bench.cost.throughput import Speed

SAID = {
    "alone": "a pass of the network",
    "seeing": "a pass with a reference",
    "training": "a training pass, forth and back",
    "beside": "an image, beside its passes",
    "image": "an image looked at",
}


def bench(
    backbone: Annotated[
        list[str] | None, typer.Option(help="Backbone that is here; repeatable; default: mini.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="Encoder that is here; repeatable; default: all whose weights are."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each is measured.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Measure passes, trainings and encoders on this machine; `bench run --dry-run` goes by it."""
    from bench.cost.throughput import remember
    from bench.registry import load, require

    for name in backbone or []:
        require("backbone", name)
    for name in encoder or []:
        require("encoder", name)
    from bench.methods.timing import backbone_speed, encoder_speed

    speeds = [backbone_speed(n, load("backbone", n)(), seconds) for n in backbone or ["mini"]]
    for name in encoder or _encoders_here():
        network = load("encoder", name)(precision="fp32")
        if hasattr(network, "encode_images"):
            speeds.append(encoder_speed(name, network, seconds))
    path = remember(speeds)
    if as_json:
        print_json({"file": str(path), "measured": [s.model_dump(mode="json") for s in speeds]})
        return
    for speed in speeds:
        _show(speed)
    say(f"Kept in {path}; dry runs on this machine go by it.")


def _encoders_here() -> list[str]:
    """Those whose weights are here, found by the longest name that theirs begins with."""
    from bench.registry import names
    from bench.sources import SOURCES
    from bench.weights import here

    found = []
    for name in names("encoder"):
        known = [source for source in SOURCES if name.startswith(source)]
        if known and here(SOURCES[max(known, key=len)]):
            found.append(name)
    return found


def _show(speed: "Speed") -> None:
    say(f"{speed.kind} {speed.name} on {speed.device} ({speed.dtype})")
    for what, seconds in speed.seconds.items():
        say(f"  {SAID[what]:<32} {seconds * 1000:>10.2f} ms")
    if speed.bytes_per_image:
        say(f"  {'an image, as PNG':<32} {speed.bytes_per_image / 1000:>10.2f} kB")
