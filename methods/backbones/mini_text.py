"""The mini backbone's text encoder: words of the grammar, two transformer layers."""

import torch
from torch import Tensor, nn

from bench.mini.grammar import VOCABULARY

PAD, UNKNOWN = 0, 1
WORDS = {word: index + 2 for index, word in enumerate(VOCABULARY)}
LENGTH = 20


def tokenize(prompts: list[str], length: int = LENGTH) -> Tensor:
    """Word indices, (B, length) int64; unknown words share one index, long prompts are cut."""
    ids = torch.full((len(prompts), length), PAD)
    for row, prompt in enumerate(prompts):
        words = prompt.lower().replace(",", " ").split()[:length]
        ids[row, : len(words)] = torch.tensor([WORDS.get(word, UNKNOWN) for word in words]).long()
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
