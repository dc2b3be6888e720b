"""ALIGN's two towers, by transformers from a folder in its own layout."""

from pathlib import Path

from torch import Tensor
from transformers import AlignModel, BertTokenizer

from bench.metrics.networks import Towers

LENGTH = 64
"""Tokens that the text tower was trained with; longer texts are cut."""


def align_base(folder: Path) -> Towers:
    """The network of a folder and its tokenizer. RuntimeError for weights of another network."""
    try:
        model, loading = AlignModel.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
        tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise RuntimeError(str(error)) from error
    if missing := sorted(loading["missing_keys"]):
        raise RuntimeError(f"{len(missing)} weights are missing, such as {missing[0]}")

    def tokens(texts: list[str]) -> Tensor:
        return tokenizer(
            texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
        )["input_ids"]

    def read(ids: Tensor) -> Tensor:
        seen = (ids != tokenizer.pad_token_id).long()
        return model.get_text_features(input_ids=ids, attention_mask=seen).pooler_output

    def look(pixels: Tensor) -> Tensor:
        return model.get_image_features(pixel_values=pixels).pooler_output

    return Towers(model, look, tokens, read)
