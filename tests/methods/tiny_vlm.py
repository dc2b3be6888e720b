"""A tiny random Llava with its processor, saved to disk as a real one is."""

from pathlib import Path
from string import ascii_letters, digits

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def save_tiny_vlm(folder: Path, template: str | None = TEMPLATE) -> None:
    """Letters in, letters out."""
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *ascii_letters, *digits, *" .,:'"])}
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**NARROW, image_size=16, patch_size=8),
            text_config=LlamaConfig(
                **NARROW,
                vocab_size=len(vocabulary),
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            ),
            image_token_id=SPECIAL.index("<image>"),
            vision_feature_layer=-1,
        )
    )
    for parameter in model.parameters():  # at their first scale all images look alike to it
        parameter.data *= 8
    model.save_pretrained(folder)
    LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
        ),
        tokenizer=_tokenizer(vocabulary),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)


NARROW = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def _tokenizer(vocabulary: dict[str, int]) -> PreTrainedTokenizerFast:
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("<image>|."), "isolated")
    return PreTrainedTokenizerFast(
        tokenizer_object=letters,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )
