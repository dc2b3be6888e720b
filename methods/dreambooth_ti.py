"""DreamBooth with Textual Inversion: the words for a subject are learned beside its LoRA.

Source: Textual Inversion (Gal et al. 2022, arXiv 2208.01618); see ``dreambooth_card``.
"""

from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from bench.api import Material
from bench.errors import UserError
from bench.methods.backbones.backbone import Backbone, Text
from bench.methods.backbones.words import LearnsWords, Words, load_words, save_words
from bench.methods.dreambooth import DreamBooth
from bench.methods.dreambooth_card import DREAMBOOTH_TI
from bench.methods.dreambooth_options import DreamBoothOptions


class DreamBoothTiOptions(DreamBoothOptions):
    """As DreamBooth's; the token's words are learned."""

    token: str = Field(
        "<new1> <new2>", min_length=1, description="learned words, before the subject's name"
    )
    initial: str | None = Field(
        None, description="what their vectors start as the mean of; default: the class noun"
    )


class DreamBoothTi(DreamBooth):
    """DreamBooth whose token is learned, each of its words a vector; the same rate for both."""

    name = "dreambooth-ti"
    card = DREAMBOOTH_TI
    revision = 1
    Options: ClassVar = DreamBoothTiOptions

    def __init__(self, backbone: Backbone, options: DreamBoothTiOptions) -> None:
        super().__init__(backbone, options)
        self.words, self._initial = words_of(backbone, self.name), options.initial
        self._vectors: dict[str, nn.Parameter] = {}
        self._encoded = lru_cache(None)(self._read_once)

    def _begin(self, material: Material) -> dict[str, nn.Parameter]:
        return {**super()._begin(material), **self._learn(material)}

    def _learn(self, material: Material) -> dict[str, nn.Parameter]:
        """Fresh vectors for the token's words."""
        like = self._initial or material.subject.class_noun
        self._vectors = {}
        for word in self.options.token.split():
            self._vectors |= self.words.add(word, like)
        return self._vectors

    def _read(self, prompt: str) -> Text:
        return self.words.encode([prompt])

    @torch.no_grad()
    def _read_once(self, prompt: str) -> Text:
        """As learned words are read, so that both may stand in one batch."""
        return self.words.encode([prompt])

    def _save(self, folder: Path) -> None:
        save_words(self._vectors, self._words_file(folder))
        super()._save(folder)

    def _load(self, material: Material, folder: Path) -> None:
        load_words(self._learn(material), self._words_file(folder))
        super()._load(material, folder)

    def _words_file(self, folder: Path) -> Path:
        return folder / f"{self.name}-words.safetensors"

    def _clear(self) -> None:
        super()._clear()
        for word in self.options.token.split():
            self.words.remove(word)


def words_of(backbone: Backbone, method: str) -> Words:
    """What a backbone's words are learned by. UserError for one that learns none."""
    if not isinstance(backbone, LearnsWords) or backbone.words is None:
        raise UserError(
            f"The backbone {backbone.spec.name} learns no words here, which '{method}' needs; "
            "choose --backbone sd15, sdxl, flux-dev, sana or mini, or the method dreambooth."
        )
    return backbone.words
