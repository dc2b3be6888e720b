"""Words for the text encoders of FLUX, which are CLIP's and T5's, and of SANA, which is Gemma."""

from collections.abc import Callable
from typing import Any

from bench.methods.backbones.backbone import Text
from bench.methods.backbones.clip_words import TokenizerVocabulary
from bench.methods.backbones.words import Reader, Words


class LowerCase(TokenizerVocabulary):
    """A tokenizer that is shown lower-case text only, as SANA's pipeline does."""

    def add(self, word: str) -> int:
        return super().add(word.lower())


def flux_words(pipeline: Any, encode: Callable[[list[str]], Text]) -> Words:
    """What CLIP and T5 learn, a vector each; ``encode`` must keep gradients."""
    clip, t5 = pipeline.text_encoder, pipeline.text_encoder_2
    # T5's stack embeds by a module of its own, whose weights alone it shares with the model's
    embedding = t5.encoder.get_input_embeddings()
    readers = {
        "text_encoder": Reader(
            clip, clip.get_input_embeddings(), TokenizerVocabulary(pipeline.tokenizer)
        ),
        "text_encoder_2": Reader(t5, embedding, TokenizerVocabulary(pipeline.tokenizer_2)),
    }
    return Words(encode, readers)


def sana_words(pipeline: Any, encode: Callable[[list[str]], Text]) -> Words:
    """What Gemma learns; ``encode`` must keep gradients."""
    encoder, vocabulary = pipeline.text_encoder, LowerCase(pipeline.tokenizer)
    embedding = encoder.get_input_embeddings()
    reader = Reader(encoder, embedding, vocabulary, float(getattr(embedding, "embed_scale", 1.0)))
    return Words(encode, {"text_encoder": reader}, pooled=False)
