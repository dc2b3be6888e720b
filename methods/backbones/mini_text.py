"""The mini backbone's text encoder: words of the grammar, two transformer layers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.mini.grammar import VOCABULARY

PAD, UNKNOWN = 0, 1
WORDS = {word: index + 2 for index, word in enumerate(VOCABULARY)}
LENGTH = 20


class MiniVocabulary(dict[str, int]):
    """Words with their indices; more may be added."""

    def add(self, word: str) -> int:
        return self.setdefault(word.lower(), max(self.values()) + 1)

    def indices(self, text: str) -> list[int]:
        return [self.get(word, UNKNOWN) for word in spoken(text)]


def spoken(prompt: str) -> list[str]:
    """The words of a prompt, lower-case."""
    return prompt.lower().replace(",", " ").split()


def tokenize(prompts: list[str], length: int = LENGTH, words: Mapping[str, int] = WORDS) -> Tensor:
    """Word indices, (B, length) int64; unknown words share one index, long prompts are cut."""
    ids = torch.full((len(prompts), length), PAD)
    for row, prompt in enumerate(prompts):
        known = [words.get(word, UNKNOWN) for word in spoken(prompt)[:length]]
        ids[row, : len(known)] = torch.tensor(known).long()
    return ids


class MiniTextEncoder(nn.Module):
    """Words to tokens (B, T, width) and their mean (B, width)."""

    def __init__(self, width: int = 96, layers: int = 2, heads: int = 4, length: int = LENGTH):
        super().__init__()
        self.words = nn.Embedding(len(WORDS) + 2, width)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width,
            heads,
            2 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.norm(self.layers(self.words(ids) + self.positions[: ids.shape[1]]))
        return hidden, hidden.mean(dim=1)
