"""PickScore: how people would like an image for its prompt."""

from functools import cached_property, partial
from math import exp
from typing import Protocol, cast

from safetensors import SafetensorError, safe_open

from bench.api import Encoder
from bench.errors import UserError
from bench.metrics.encoders import NetworkEncoder
from bench.metrics.preparation import CLIP, ShortestSide
from bench.metrics.similarity import TextSimilarity, given


class Scaled(Encoder, Protocol):
    """An encoder whose training found a scale for its cosines."""

    logit_scale: float
    """Its logarithm."""


class PickScore(TextSimilarity):
    """exp(logit scale) times the cosine between the embeddings of an image and of its prompt.

    About 100 times the cosine, unbounded in principle: compare images of one prompt. Made without
    an encoder it cannot score; UserError for an encoder that has no scale. Source: Kirstain et al.
    2023 (arXiv 2305.01569), section 3.
    """

    name = "pick_score"
    encoder = "pickscore-v1"
    unit = "scaled cosine"

    def scale(self, cosine: float) -> float:
        return exp(self._scaled.logit_scale) * cosine

    @property
    def _scaled(self) -> Scaled:
        encoder = given(self._encoder, self.name)
        if not hasattr(encoder, "logit_scale"):
            raise UserError(
                f"'{self.name}' needs the scale that an encoder's training found, and "
                f"'{encoder.name}' has none: choose '{type(self).encoder}'."
            )
        return cast(Scaled, encoder)


class PickScoreEncoder(NetworkEncoder):
    """PickScore's CLIP, whose scale is read from the weights without building the network."""

    @cached_property
    def logit_scale(self) -> float:
        try:
            with safe_open(self.path, framework="numpy") as file:
                return float(file.get_tensor("logit_scale"))
        except SafetensorError as error:
            raise UserError(
                f"The weights {self.path} are not those of '{self.name}' ({error}); replace the "
                "file."
            ) from error


pickscore_v1 = partial(
    PickScoreEncoder,
    "pickscore-v1",
    "bench.metrics.pickscore_network:pickscore_v1",
    ShortestSide(224, 224),
    CLIP,
)
