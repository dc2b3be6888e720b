"""Words for the CLIP text encoders of Stable Diffusion's pipelines."""

from collections.abc import Callable
from typing import Any

from bench.methods.backbones.backbone import Text
from bench.methods.backbones.words import Reader, Words


class TokenizerVocabulary:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def add(self, word: str) -> int:
        self.tokenizer.add_tokens([word])
        return int(self.tokenizer.convert_tokens_to_ids(word))

    def indices(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return found


def clip_words(pipeline: Any, encode: Callable[[list[str]], Text]) -> Words:
    """What the pipeline's text encoders, one or two, learn; ``encode`` must keep gradients."""
    pairs = {
        "text_encoder": (pipeline.text_encoder, pipeline.tokenizer),
        "text_encoder_2": (
            getattr(pipeline, "text_encoder_2", None),
            getattr(pipeline, "tokenizer_2", None),
        ),
    }
    readers = {
        name: Reader(encoder, encoder.get_input_embeddings(), TokenizerVocabulary(tokenizer))
        for name, (encoder, tokenizer) in pairs.items()
        if encoder is not None
    }
    return Words(encode, readers)
