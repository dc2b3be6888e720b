"""FLUX.1-dev: it is distilled from guidance, whose scale is an input of the network."""

from functools import partial

from bench.methods.backbones import flux_hub
from bench.methods.backbones.flux_hub import Release

DEV = Release("flux-dev", steps=28, guidance=3.5, max_text=512)
load = partial(flux_hub.load, DEV)
