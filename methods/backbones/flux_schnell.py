"""FLUX.1-schnell: it is distilled to a few steps and knows no guidance."""

from functools import partial

from bench.methods.backbones import flux_hub
from bench.methods.backbones.flux_hub import Release

SCHNELL = Release("flux-schnell", steps=4, guidance=None, max_text=256)
load = partial(flux_hub.load, SCHNELL)
